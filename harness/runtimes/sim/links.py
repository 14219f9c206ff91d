"""How simulated processes send each other messages: directly, or through something that stands for any broker."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.runtimes.sim.machine import Machine
from harness.runtimes.sim.network import SimulatedNetwork
from harness.runtimes.sim.world import World

if TYPE_CHECKING:
    from harness.runtimes.sim.process import Process

REDELIVER_S = 1.0
TWICE = 0.05  # the share of what a broker delivers twice without a reason


class SimLink:
    """Messages from one life of a process. An instance's address is its name."""

    def __init__(
        self, machine: Machine, life: int, network: SimulatedNetwork, instances: Mapping[str, Sequence["Process"]]
    ) -> None:
        self._machine = machine
        self._life = life
        self._network = network
        self._by_name = {each.name: each for several in instances.values() for each in several}
        self._of = instances
        self._turns = {service: itertools.cycle(several) for service, several in instances.items()}

    def send(self, to: str, message: Any) -> None:
        if self._machine.life == self._life:
            self._carry(to, message)

    def _carry(self, to: str, message: Any) -> None:
        """Once, and that is all."""
        self._deliver(to, message, None)

    def _one_of(self, service: str) -> "Process":
        """The next instance in turn; one that accepts no connection is passed over, as long as there is another."""
        found = next(self._turns[service])
        for _ in self._of[service][1:]:
            if found.accepts:
                break
            found = next(self._turns[service])
        return found

    def _deliver(self, to: str, message: Any, handled: Callable[[], None] | None) -> None:
        target, sender = self._by_name.get(to) or self._one_of(to), self._machine.name
        self._network.carry((sender, target.name), lambda: target.hear(message, sender, handled))


class BrokeredLink(SimLink):
    """What is sent outlives its sender, and is delivered until it has been handled: late, doubled, in any order.

    It stands for any broker: what the network does to the link between two processes it does to what goes through one.
    """

    def __init__(
        self, machine: Machine, life: int, network: SimulatedNetwork, instances: Mapping[str, Sequence["Process"]]
    ) -> None:
        super().__init__(machine, life, network, instances)
        self._rng = machine.world.stream(f"broker:{machine.name}:{life}")

    def _carry(self, to: str, message: Any) -> None:
        def attempt(handled: Callable[[], None]) -> None:
            for _ in range(2 if self._rng.random() < TWICE else 1):
                self._deliver(to, message, handled)

        _until_handled(self._machine.world, attempt, lambda: REDELIVER_S * (1 + self._rng.random()))


def post(world: World, instances: Sequence["Process"], body: bytes) -> None:
    """Deliver a body that somebody has put into the broker to one of the instances, until it has been handled."""

    def attempt(handled: Callable[[], None]) -> None:
        ready = [process for process in instances if process.accepts]
        if ready:
            ready[0].hear_bytes(body, handled)

    _until_handled(world, attempt, lambda: REDELIVER_S)


def _until_handled(world: World, attempt: Callable[[Callable[[], None]], None], pause_s: Callable[[], float]) -> None:
    """Make an attempt now and after each pause, until one has called its argument."""
    done = False

    def handled() -> None:
        nonlocal done
        done = True

    def deliver() -> None:
        if not done:
            attempt(handled)
            world.later(pause_s(), deliver)

    deliver()
