"""Anything that can fail on its own: it runs, is paused, is down, and comes up again."""

from collections.abc import Callable
from random import Random

from harness.runtimes.base import Kind, Node, State
from harness.runtimes.sim.world import World

PIDS = 100
"""Lives of a node before its numbers would meet another's."""


class Machine:
    """`respawn_s` after it has died it starts again, unless it is to stay down; starting takes `start_s`.

    What runs on it overrides `born` and `died`, and lets everything that comes in pass through `enter`.
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
        """It serves from now on."""

    def died(self) -> None:
        """What it had in memory is gone."""

    def node(self) -> Node:
        if self._node is None:
            pid = None if self.state == "down" else self._number * PIDS + self.life
            self._node = Node(self.name, self._kind, self.service, pid, f"sim://{self.name}", self.state)
        return self._node

    # ------------------------------------------------------------ life

    def boot(self, after_s: float = 0.0) -> None:
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

    def revive(self) -> None:
        if self.state == "down":
            self.boot()

    def pause(self) -> None:
        if self.state == "running":
            self._become("paused")

    def resume(self) -> None:
        if self.state == "paused":
            self._become("running")
            stalled, self._stalled = self._stalled, []
            life = self.life
            for call in stalled:
                self.enter(life, call)

    def when_changed(self, then: Callable[[], None]) -> None:
        """Call `then` at the next change of state."""
        self._listeners.append(then)

    # ------------------------------------------------------------ what comes in

    def enter(self, life: int, call: Callable[[], None]) -> None:
        """Something happens to this life: now, when the pause is over, or never if the life is."""
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
        """Call whoever waits for a change."""
        listeners, self._listeners = self._listeners, []
        for then in listeners:
            then()
