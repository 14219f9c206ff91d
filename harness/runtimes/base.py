"""The port every runtime stands behind: what runs, and how to break it and put it back."""

from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["service", "store", "gateway", "broker"]
State = Literal["starting", "running", "paused", "down"]


class EnvironmentFailure(Exception):
    """The machine or something on it stands in the way; the message says what it is and what to do about it."""


@dataclass(frozen=True, slots=True)
class Node:
    """One thing that can fail on its own.

    ``service`` is the service it belongs to, empty for the gateway. ``pid`` is None while it is down, or where the
    runtime has no processes of its own. ``url`` carries no password.
    """

    name: str
    kind: Kind
    service: str
    pid: int | None
    url: str
    state: State


class Runtime(Protocol):
    """What a fault or a workload may ask of a running shop. Unknown names raise ``KeyError`` naming what there is."""

    @property
    def url(self) -> str:
        """The gateway's address, known once ``up`` has returned."""

    async def up(self) -> None:
        """Start everything and return once it serves. Raises ``EnvironmentFailure``, having stopped everything."""

    async def down(self) -> None:
        """Stop everything; afterwards nothing of it is left running or paused. May be called twice."""

    def nodes(self) -> tuple[Node, ...]:
        """What runs right now, in a fixed order."""

    def kill(self, name: str, *, stay_down: bool = False) -> None:
        """End a node the hard way. It is started again as the deployment says, or by ``restart`` if it stays down."""

    def pause(self, name: str) -> None:
        """Freeze a node: it keeps its connections and answers nothing."""

    def resume(self, name: str) -> None:
        """Let a paused node go on."""

    async def restart(self, name: str) -> None:
        """Start a node anew, killing it first if it runs, and return once it serves."""
