"""A simulated machine: a node that can fail on its own. It runs, is paused, is down, and starts again."""

from collections.abc import Callable
from random import Random

from harness.runtimes.base import Kind, Node, State
from harness.runtimes.sim.world import World

PIDS = 100
"""The number of lives that a node can have before its process ids would be those of another node."""


class Machine:
    """A node with lives. It starts again `respawn_s` after its death, unless it is to stay down; a start takes `start_s`.

    A subclass overrides `born` and `died`, and passes every event from outside through `enter`.
    """

    def __init__(self, world: World, name: str, kind: Kind, service: str, number: int, respawn_s: float) -> None:
        self.world = world
        self.name = name
        self.service = service
        self.life = 0
        self.state: State = "down"
        self.respawn_s = respawn_s
        self._kind = kind
        self._number = number
        self._stalled: list[Callable[[], None]] = []
        self._listeners: list[Callable[[], None]] = []
        self._node: Node | None = None
        self.rng: Random = world.stream(f"machine:{name}")

    start_s = 0.1

    def born(self) -> None:
        """Begin to serve, with a new memory."""

    def died(self) -> None:
        """Lose the memory."""

    def node(self) -> Node:
        """Return the node as it is now."""
        if self._node is None:
            pid = None if self.state == "down" else self._number * PIDS + self.life
            self._node = Node(self.name, self._kind, self.service, pid, f"sim://{self.name}", self.state)
        return self._node

    # ------------------------------------------------------------ life

    def boot(self, after_s: float = 0.0) -> None:
        """Begin the next life, `after_s` from now; it serves after `start_s`, give or take a fifth."""
        self.life += 1
        self._become("starting")
        life = self.life
        self.world.later(after_s + self.start_s * (0.8 + 0.4 * self.rng.random()), lambda: self._serve(life))

    def kill(self, *, stay_down: bool) -> None:
        if self.state == "down":
            return
        served = self.state != "starting"
        self.life += 1
        self._stalled.clear()
        self._become("down")
        if served:
            self.died()
        if not stay_down and self.respawn_s:
            self.world.later(self.respawn_s, lambda life=self.life: self._respawn(life))  # type: ignore[misc]

    def terminate(self) -> None:
        """End in the regular way, which takes a service or a gateway longer than a kill."""
        self.kill(stay_down=False)

    def revive(self) -> None:
        """Begin the next life at once if the node is down."""
        if self.state == "down":
            self.boot()

    def pause(self) -> None:
        """Hold up every event for this life until `resume`."""
        if self.state == "running":
            self._become("paused")

    def resume(self) -> None:
        """End a pause; the events of the meantime happen now, in their order."""
        if self.state == "paused":
            self._become("running")
            stalled, self._stalled = self._stalled, []
            life = self.life
            for call in stalled:
                self.enter(life, call)

    def when_changed(self, then: Callable[[], None]) -> None:
        """Call `then` at the next change of state."""
        self._listeners.append(then)

    # ------------------------------------------------------------ events

    def enter(self, life: int, call: Callable[[], None]) -> None:
        """Have an event happen to this life: now, after the end of a pause, or never if the life is over."""
        if life != self.life:
            return
        if self.state == "paused":
            self._stalled.append(call)
        else:
            call()

    # ------------------------------------------------------------ inside

    def _respawn(self, life: int) -> None:
        if life == self.life:
            self.revive()

    def _serve(self, life: int) -> None:
        if life == self.life:
            self._become("running")
            self.born()

    def _become(self, state: State) -> None:
        self.world.trace.add(self.name, state)
        self.state = state
        self._node = None
        self.changed()

    def changed(self) -> None:
        """Call the functions that wait for a change. Each waits for one change only, and may wait again."""
        listeners, self._listeners = self._listeners, []
        for then in listeners:
            then()
