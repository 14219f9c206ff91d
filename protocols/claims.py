"""The claims, safeguards and options of a protocol, as data."""

from collections.abc import Mapping

from msgspec import Struct

SEES_OWN_WRITES = "a client's read after its 200 sees the effects of that checkout"


class Claims(Struct, frozen=True):
    """The promises of a protocol, as data that the checkers compare with a history.

    ``recovery_s`` bounds the time in seconds from the end of the last fault until no transaction is in doubt or holds a lock.
    ``blocking_s`` bounds the wait for locks of an absent instance, while each service has another one. ``outage_s`` bounds, while
    a whole service is absent, the wait of requests that need only other services. None: no bound. ``data``: the data that the
    services share. ``own_writes``: whether a client's read after its acknowledged checkout returns the effects of it.
    """

    atomicity: str  # atomic | eventually | none
    isolation: str  # strict-serializable | serializable | snapshot | read-committed | read-uncommitted | none
    durability: str
    blocking: str
    recovery_s: float | None
    data: str = "each service owns its data, in a store of its own"
    own_writes: str = SEES_OWN_WRITES
    blocking_s: float | None = None
    outage_s: float | None = None

    def rows(self) -> list[tuple[str, str]]:
        """Return the name and the text of each claim, for tables."""
        return [
            ("atomicity", self.atomicity),
            ("isolation", self.isolation),
            ("own writes", self.own_writes),
            ("durability", self.durability),
            ("blocking", self.blocking),
            ("instance away", _bound("other transactions wait", self.blocking_s)),
            ("service away", _bound("requests that do not need it wait", self.outage_s)),
            (
                "recovery",
                "no bound" if self.recovery_s is None else f"within {self.recovery_s:g} s after the last fault",
            ),
            ("data", self.data),
        ]


def _bound(clause: str, bound_s: float | None) -> str:
    return "no bound" if bound_s is None else f"{clause} {bound_s:g} s at most, by default"


class Safeguard(Struct, frozen=True):
    """A rule that keeps the protocol safe, with the name for ``--ablate``. ``opens`` describes the fault without it.

    ``under``: the options under which it matters, where those are not the defaults. ``not_under``: options of which each one
    makes it idle. ``searched``: whether `wdm check` has the part of the shop that it protects, which is not so for the gateway.
    ``simulated``: whether the simulator has the events that it guards against.
    """

    name: str
    summary: str
    opens: str
    under: tuple[tuple[str, str], ...] = ()
    not_under: tuple[tuple[str, str], ...] = ()
    searched: bool = True
    simulated: bool = True


class Option(Struct, frozen=True):
    """An option of a protocol.

    ``under`` has (option, value, default) for each value of another option, listed earlier, under which the default differs.
    """

    name: str
    default: str
    choices: tuple[str, ...]
    summary: str
    under: tuple[tuple[str, str, str], ...] = ()

    def default_with(self, options: Mapping[str, str]) -> str:
        """Return the default beside these options."""
        return next((default for name, value, default in self.under if options.get(name) == value), self.default)

    @property
    def defaults(self) -> str:
        """Return all defaults as text for tables and help: ``locked; settled with locks=escrow``."""
        return "; ".join((self.default, *(f"{default} with {name}={value}" for name, value, default in self.under)))
