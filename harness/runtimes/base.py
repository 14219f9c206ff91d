"""The port every runtime stands behind: what runs, and how to break it and put it back."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:  # each costs more to import than this module
    from protocols.core import Config
    from protocols.core import Protocol as TransactionProtocol
    from protocols.service.faults import Faults

Kind = Literal["service", "store", "gateway", "broker"]
State = Literal["starting", "running", "paused", "down"]


@dataclass(frozen=True, slots=True)
class Node:
    """One thing that can fail on its own.

    `service` is the service it belongs to, empty for the gateway. `pid` is None while it is down, or where the
    runtime has no processes of its own. `url` carries no password.
    """

    name: str
    kind: Kind
    service: str
    pid: int | None
    url: str
    state: State


class Runtime(Protocol):
    """What a fault or a workload may ask of a running shop. Unknown names raise `KeyError` naming what there is.

    What is asked by a call that cannot be awaited may take effect a moment later: `settled` waits for it.
    """

    @property
    def url(self) -> str:
        """The gateway's address, known once `up` has returned."""

    async def up(self) -> None:
        """Start everything and return once it serves. Raises `EnvironmentFailure`, having stopped everything."""

    async def down(self) -> None:
        """Stop everything; afterwards nothing of it is left running or paused. May be called twice."""

    def nodes(self) -> tuple[Node, ...]:
        """What runs right now, in a fixed order."""

    def kill(self, name: str, *, stay_down: bool = False) -> None:
        """End a node the hard way. It is started again as the deployment says, or by `restart` if it stays down."""

    def pause(self, name: str) -> None:
        """Freeze a node: it keeps its connections and answers nothing."""

    def resume(self, name: str) -> None:
        """Let a paused node go on."""

    async def restart(self, name: str) -> None:
        """Start a node anew, killing it first if it runs, and return once it serves."""

    async def settled(self) -> None:
        """Return once all that was asked of nodes and links has been done. Raises `EnvironmentFailure` for what could not."""


# ---------------------------------------------------------------- what a runtime offers to faults

Capability = Literal["signals", "links", "messages", "clock", "failpoints", "log-tail", "dead-letters", "disk"]
LinkId = tuple[str, str]
"""A directed link between two nodes, by name: who opens the connections, and to whom."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a link does to its connections, in both directions. The rules of several faults add up.

    `reset` is the probability, for each piece of data, that both ends see their connection reset instead.
    """

    cut: bool = False
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    reset: float = 0.0
    bytes_per_s: float = 0.0  # 0: no limit


class FaultOwnership:
    """The faults that have begun, and which of them keeps what broken: a node paused by two goes on when both have ended."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self._by: dict[str, list[Hashable]] = {}

    def take(self, what: str, by: Hashable) -> None:
        holders = self._by.setdefault(what, [])
        if by not in holders:
            holders.append(by)

    def held(self, what: str) -> bool:
        return bool(self._by.get(what))

    def release(self, what: str, by: Hashable) -> bool:
        """Whether `by` held it and nobody holds it any more."""
        holders = self._by.get(what, [])
        if by not in holders:
            return False
        holders.remove(by)
        return not holders

    def clear(self) -> None:
        self.begun.clear()
        self._by.clear()


class NetworkFaults(Protocol):
    """Capability `links`: the network between nodes."""

    def links(self) -> tuple[LinkId, ...]:
        """Every link that a rule can be put on, in a fixed order."""

    def apply_rule(self, by: Hashable, links: Iterable[LinkId], rule: Rule, rng: Random) -> None:
        """Put a rule on links, in the name of `by`. `rng` decides what the rule leaves to chance."""

    def remove_rules(self, by: Hashable, *, reset: bool = False) -> None:
        """Take back what `by` put anywhere. What was stalled flows on, or, with `reset`, its connection is reset."""


class ProcessFaults(Protocol):
    """Capabilities `messages`, `clock` and `failpoints`: what a service process does to itself."""

    def configured(self) -> "tuple[TransactionProtocol, Config]":
        """Return the protocol that runs and its configuration: they decide which failpoints there are."""

    async def disturb(self, by: Hashable, names: Iterable[str], faults: "Faults") -> None:
        """Tell service processes to misbehave, in the name of `by`; it outlasts a restart, a failpoint does not."""

    async def undisturb(self, by: Hashable) -> None:
        """Take back what `by` told anybody."""


class StoreLogs(Protocol):
    """Capability `log-tail`: the files of the stores."""

    async def cut_tail(self, name: str, rng: Random) -> str:
        """Take from a store that is down what a power cut could have taken from its log. Says in words what that was."""


class DeadLetters(Protocol):
    """Capability `dead-letters`: a broker, and what it keeps aside because nobody could read it or carry it out."""

    async def inject_poison(self, service: str, name: str) -> Sequence[str]:
        """Send a service messages that are of no use, see `protocols.service.links.poison`. Returns their names.

        Raises `EnvironmentFailure`.
        """

    async def dead_letters(self) -> Sequence[bytes]:
        """The dead letters. Raises `EnvironmentFailure`."""


class Disks(Protocol):
    """Capability `disk`: the space that the stores have."""

    async def fill_disk(self, name: str) -> None:
        """No file of this store grows from now on, in whatever life. Raises `EnvironmentFailure`."""

    async def free_disk(self, name: str) -> None:
        """There is space again."""


class Breakable(Runtime, NetworkFaults, ProcessFaults, StoreLogs, DeadLetters, Disks, Protocol):
    """A runtime that faults can be injected into, as far as its `capabilities` go."""

    holds: FaultOwnership

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    def revive(self, name: str) -> None:
        """Start a node that is down, and return at once. A node that runs is left alone."""

    async def heal(self) -> None:
        """Undo everything that faults can have done, whoever asked for it. Nodes that were down may still be starting."""
