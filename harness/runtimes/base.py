"""The port of every runtime: its nodes, the faults that it can inject, and their undoing."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:  # each costs more to import than this module
    from protocols.core import Config
    from protocols.core import Protocol as TransactionProtocol
    from protocols.service.faults import Faults

Kind = Literal["service", "store", "gateway", "broker", "elector"]
State = Literal["starting", "running", "paused", "down"]
Order = Literal["kill", "pause"]
ORDERS: frozenset[Order] = frozenset({"kill", "pause"})


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a shop that can fail on its own.

    `service` is the service that the node belongs to, empty for the gateway. `pid` is None while the node is down, or where
    the runtime has no processes of its own. `url` carries no password. `takes`: the orders that the runtime can carry out.
    """

    name: str
    kind: Kind
    service: str
    pid: int | None
    url: str
    state: State
    takes: frozenset[Order] = ORDERS


class Runtime(Protocol):
    """A shop for workloads and faults of nodes. An unknown name raises `KeyError` listing the nodes.

    A call that cannot be awaited may take effect a moment later: `settled` waits for that.
    """

    @property
    def url(self) -> str:
        """Return the gateway's address, known once `up` has returned."""

    async def up(self) -> None:
        """Start every node and return once all serve. Raises `EnvironmentFailure` after stopping everything."""

    async def down(self) -> None:
        """Stop every node; afterwards none runs or is paused. It may be called twice."""

    def nodes(self) -> tuple[Node, ...]:
        """Return the nodes as they are now, in a fixed order."""

    def kill(self, name: str, *, stay_down: bool = False) -> None:
        """End a node with SIGKILL. It starts again by the deployment's rule, or by `restart` if it stays down."""

    def pause(self, name: str) -> None:
        """Freeze a node: it keeps its connections and sends no answer."""

    def resume(self, name: str) -> None:
        """End the pause of a node."""

    async def restart(self, name: str) -> None:
        """Start a node anew, after a kill if it runs, and return once it serves. Raises `EnvironmentFailure`."""

    async def settled(self) -> None:
        """Return once every order to nodes and links has taken effect. Raises `EnvironmentFailure` for one that cannot."""


# ---------------------------------------------------------------- the capabilities for faults

Capability = Literal[
    "signals",
    "links",
    "messages",
    "clock",
    "failpoints",
    "log-tail",
    "dead-letters",
    "disk",
    "drain",
    "copies",
    "electors",
]
LinkId = tuple[str, str]
"""A directed link between two nodes, by name: the node that opens the connections, and the one that accepts them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The effect of a link on its connections, in both directions. The rules of several faults add up.

    `reset` is the probability, for each piece of data, that both ends see their connection reset instead.
    """

    cut: bool = False
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    reset: float = 0.0
    bytes_per_s: float = 0.0  # 0: no limit


SECOND_ELECTOR = "elector-2"
"""The name of the second elector at its ends of links. It is no node: it comes and goes with the fault `two-electors`."""


class FaultOwnership:
    """The faults that have begun, and the owners of each broken part: a node paused by two goes on when both have ended."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self._by: dict[str, list[Hashable]] = {}

    def take(self, what: str, by: Hashable) -> None:
        """Add `by` to the owners of a part."""
        owners = self._by.setdefault(what, [])
        if by not in owners:
            owners.append(by)

    def held(self, what: str) -> bool:
        """Return whether a part has an owner."""
        return bool(self._by.get(what))

    def release(self, what: str, by: Hashable) -> bool:
        """Remove `by` from the owners of a part; return whether it was the last of them."""
        owners = self._by.get(what, [])
        if by not in owners:
            return False
        owners.remove(by)
        return not owners

    def clear(self) -> None:
        """Forget all faults and owners."""
        self.begun.clear()
        self._by.clear()


class NetworkFaults(Protocol):
    """Capability `links`: the network between nodes."""

    def links(self) -> tuple[LinkId, ...]:
        """Return every link that a rule can be put on, in a fixed order."""

    def apply_rule(self, by: Hashable, links: Iterable[LinkId], rule: Rule, rng: Random) -> None:
        """Put a rule on links, owned by `by`. `rng` draws the jitter and the resets of the rule."""

    def remove_rules(self, by: Hashable, *, reset: bool = False) -> None:
        """Remove every rule of the owner `by`. Stalled connections flow on, or, with `reset`, are reset."""


class ProcessFaults(Protocol):
    """Capabilities `messages`, `clock` and `failpoints`: faults in the code of service processes."""

    def configured(self) -> "tuple[TransactionProtocol, Config]":
        """Return the protocol that runs and its configuration, which determine the failpoints."""

    async def disturb(self, by: Hashable, names: Iterable[str], faults: "Faults") -> None:
        """Inject faults into service processes, owned by `by`. They outlast a restart, failpoints apart."""

    async def undisturb(self, by: Hashable) -> None:
        """Remove the faults of the owner `by` from every process."""


class StoreLogs(Protocol):
    """Capability `log-tail`: the files of the stores."""

    async def cut_tail(self, name: str, rng: Random) -> str:
        """Cut the log of a store that is down, as a power cut could have cut it; return the loss in words."""


class DeadLetters(Protocol):
    """Capability `dead-letters`: a broker, and the messages that it keeps because no service could handle them."""

    async def inject_poison(self, service: str, name: str) -> Sequence[str]:
        """Send a service messages that it cannot handle, see `protocols.service.links.poison`; return their names.

        Raises `EnvironmentFailure`.
        """

    async def dead_letters(self) -> Sequence[bytes]:
        """Return the bodies of the dead letters. Raises `EnvironmentFailure`."""


class Disks(Protocol):
    """Capability `disk`: the disk space of the stores."""

    async def fill_disk(self, name: str) -> None:
        """Let no file of this store grow from now on, in this life and later ones. Raises `EnvironmentFailure`."""

    async def free_disk(self, name: str) -> None:
        """Let the files of this store grow again."""


class Drains(Protocol):
    """Capability `drain`: the regular end of services and gateways."""

    def terminate(self, name: str) -> None:
        """Send a node SIGTERM: it answers its requests and ends; it starts again by the deployment's rule."""


class Copies(Protocol):
    """Stores of several copies, and their elector. Capability `copies`: the loss of a whole log; `electors`: a second elector."""

    def primaries(self) -> Mapping[str, str]:
        """Return the node that is the primary now, by the name of its store; empty without copies. It may block for a second."""

    async def empty_store(self, name: str) -> str:
        """Delete all data of a store server that is down; return the loss in words. Raises `EnvironmentFailure`."""

    async def start_elector(self) -> None:
        """Start a second elector, with a number of its own, or leave it alone if it runs. Raises `EnvironmentFailure`."""

    async def stop_elector(self) -> None:
        """Kill the second elector, if it runs."""


class Breakable(Runtime, NetworkFaults, ProcessFaults, StoreLogs, DeadLetters, Disks, Drains, Copies, Protocol):
    """A runtime with faults. A fault of a kind that its `capabilities` lack is rejected before it begins."""

    holds: FaultOwnership

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Return the capabilities that faults can use here."""

    def revive(self, name: str) -> None:
        """Start a node that is down, and return at once. A node that runs is left alone."""

    async def heal(self) -> None:
        """Undo every fault of every owner. Nodes that were down may still be starting. Raises `EnvironmentFailure`."""
