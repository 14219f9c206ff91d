"""The messages between simulated processes: sent directly, or through a model of any broker."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.runtimes.sim.machine import Machine
from harness.runtimes.sim.network import SimulatedNetwork
from harness.runtimes.sim.world import World

if TYPE_CHECKING:
    from harness.runtimes.sim.process import Process

REDELIVER_S = 1.0
TWICE = 0.05  # the share of messages that the broker delivers twice without a reason


class SimLink:
    """The link of one life of a process. An instance's address is its name."""

    def __init__(
        self, machine: Machine, life: int, network: SimulatedNetwork, instances: Mapping[str, Sequence["Process"]]
    ) -> None:
        self._machine = machine
        self._life = life
        self._network = network
        self._by_name = {process.name: process for processes in instances.values() for process in processes}
        self._of = instances
        self._turns = {service: itertools.cycle(processes) for service, processes in instances.items()}

    def send(self, to: str, message: Any) -> None:
        """Send a message to an instance or to a service, unless this life is over."""
        if self._machine.life == self._life:
            self._carry(to, message)

    def _carry(self, to: str, message: Any) -> None:
        """Send a message once, without a retry."""
        self._deliver(to, message, None)

    def _next_of(self, service: str) -> "Process":
        """Return the next instance in turn; one that accepts no connection is skipped as long as there is another."""
        process = next(self._turns[service])
        for _ in self._of[service][1:]:
            if process.accepts:
                break
            process = next(self._turns[service])
        return process

    def _deliver(self, to: str, message: Any, handled: Callable[[], None] | None) -> None:
        target, sender = self._by_name.get(to) or self._next_of(to), self._machine.name
        self._network.carry((sender, target.name), lambda: target.receive(message, sender, handled))


class BrokeredLink(SimLink):
    """A link through a broker: a message outlives its sender, and is delivered until it was handled: late, doubled, in any order.

    The broker is a model of any broker: faults of the link between two processes hold for the messages through it as well.
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
    """Deliver a message of another sender through the broker to one of the instances, until it was handled."""

    def attempt(handled: Callable[[], None]) -> None:
        ready = [process for process in instances if process.accepts]
        if ready:
            ready[0].receive_batch(body, handled)

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
