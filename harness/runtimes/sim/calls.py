"""Calls to simulated copies of a store from another machine, each over a connection that has no other call under way."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from harness.runtimes.sim.copy_server import CopyServer
from harness.runtimes.sim.network import SimulatedNetwork
from protocols.copies.elector import Silent
from protocols.ports import Clock

ANSWER_WITHIN_S = 0.5

T = TypeVar("T")
Enter = Callable[[Callable[[], None]], None]


class RemoteCalls:
    """The calls of one life of the machine `name`. `enter` has an event happen to that life, as long as it lasts."""

    def __init__(self, network: SimulatedNetwork, name: str, enter: Enter, clock: Clock) -> None:
        self._network = network
        self._name = name
        self._enter = enter
        self._clock = clock

    def call(
        self,
        server: CopyServer,
        do: Callable[[Callable[[T | None], None]], None],
        then: Callable[[T | None], None],
        within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        """Have the server `do`, which passes its result on. `then` receives it, or None if there was none in time."""
        link_id, life = (self._name, server.name), server.life
        answered = False

        def once(result: T | None) -> None:
            nonlocal answered
            if not answered:
                answered = True
                timer.cancel()
                then(result)

        def lost() -> None:
            self._enter(lambda: once(None))

        def result(value: T | None) -> None:
            self._network.carry(link_id, lambda: self._enter(lambda: once(value)), lost)

        def arrive() -> None:
            if server.life == life and server.state in ("running", "paused"):
                server.enter(life, lambda: do(result))
            else:
                self._network.carry(link_id, lost, lost)

        timer = self._clock.call_later(within_s * 1000, lambda: once(None))
        self._network.carry(link_id, arrive, lost)

    async def ask(
        self, server: CopyServer, do: Callable[[Callable[[T | None], None]], None], within_s: float = ANSWER_WITHIN_S
    ) -> T:
        """Return the result of `do`. Raises `Silent` if there was none in time."""
        answer: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()

        def then(result: T | None) -> None:
            if not answer.done():
                answer.set_result(result)

        # Not before a pause of the machine is over.
        self._enter(lambda: self.call(server, do, then, within_s))
        result = await answer
        if result is None:
            raise Silent(f"{server.name} did not answer")
        return result
