"""The claims, safeguards and options of a protocol, as data."""

from collections.abc import Mapping

from msgspec import Struct

SEES_OWN_WRITES = "a client's read after its 200 sees the effects of that checkout"


class Claims(Struct, frozen=True):
    """What a protocol promises, as data that the checkers compare with what they observed.

    ``recovery_s`` is the bound in seconds after the last fault ended within which nothing is left in doubt or locked.
    ``blocking_s`` is the bound while an instance stays away and each service has another one: what the one that is away holds is
    free for others by then. ``outage_s`` is that while a whole service is away, for what needs only others. None: no bound.
    ``data``: what the services have to share for it. ``own_writes``: whether a client that was told of a checkout, and reads,
    sees it.
    """

    atomicity: str  # atomic | eventually | none
    isolation: str  # strict-serializable | serializable | snapshot | read-committed | read-uncommitted | none
    durability: str
    blocking: str
    recovery_s: float
    data: str = "each service owns its data, in a store of its own"
    own_writes: str = SEES_OWN_WRITES
    blocking_s: float | None = None
    outage_s: float | None = None

    def rows(self) -> list[tuple[str, str]]:
        """Name and text of each claim, for tables."""
        return [
            ("atomicity", self.atomicity),
            ("isolation", self.isolation),
            ("own writes", self.own_writes),
            ("durability", self.durability),
            ("blocking", self.blocking),
            ("instance away", _bound("other transactions wait", self.blocking_s)),
            ("service away", _bound("requests that do not need it wait", self.outage_s)),
            ("recovery", f"within {self.recovery_s:g} s after the last fault"),
            ("data", self.data),
        ]


def _bound(who: str, bound_s: float | None) -> str:
    return "no bound" if bound_s is None else f"{who} {bound_s:g} s at most, by default"


class Safeguard(Struct, frozen=True):
    """A rule that keeps the protocol safe, by a name that ``--ablate`` can switch off. ``opens`` is what then breaks.

    ``under``: the options that it takes for it to matter, where those are not the defaults. ``not_under``: options with any of
    which it has nothing to do.
    """

    name: str
    summary: str
    opens: str
    under: tuple[tuple[str, str], ...] = ()
    not_under: tuple[tuple[str, str], ...] = ()


class Option(Struct, frozen=True):
    """A choice of how to run a protocol. ``under`` has other defaults, (option, value, default) each: where that option has
    that value, this one's default is another. It may look at options that are listed before it only.
    """

    name: str
    default: str
    choices: tuple[str, ...]
    summary: str
    under: tuple[tuple[str, str, str], ...] = ()

    def default_with(self, options: Mapping[str, str]) -> str:
        """The default beside these options."""
        return next((default for name, value, default in self.under if options.get(name) == value), self.default)

    @property
    def defaults(self) -> str:
        """All defaults in words, for tables and help: ``locked; settled with locks=escrow``."""
        return "; ".join((self.default, *(f"{default} with {name}={value}" for name, value, default in self.under)))
