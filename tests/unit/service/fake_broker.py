"""A broker in this process that fails on purpose, and a link to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from protocols.service.codec import Codec
from protocols.service.links.broker import Batch, BrokerLink, BrokerLost


@dataclass(frozen=True)
class Note:
    txn: str


CODEC = Codec((Note,))


class Failing:
    """A broker: the first ``losses`` publications arrive, and are not confirmed, for the connection is lost."""

    def __init__(self, losses: int = 0) -> None:
        self.losses = losses
        self.connects = 0
        self.arrived: list[tuple[str, list[Note]]] = []
        self.sizes: list[int] = []
        self.aside: list[tuple[bytes, str]] = []

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncIterator["Failing"]:
        self.connects += 1
        self._lost = asyncio.Event()
        yield self

    def put_aside(self, body: bytes, why: str, confirmed: Callable[[], None]) -> None:
        self.aside.append((body, why))
        asyncio.get_running_loop().call_soon(confirmed)

    def publish(self, to: str, body: bytes, confirmed: Callable[[], None]) -> None:
        self.sizes.append(len(body))
        self.arrived.append((to, CODEC.decode(body)[1]))
        if self.losses:
            self.losses -= 1
            self._lost.set()
        else:
            asyncio.get_running_loop().call_soon(confirmed)

    async def batches(self) -> AsyncIterator[Batch]:
        await asyncio.Event().wait()
        yield Batch(b"", lambda: None, lambda _: None)

    async def work(self) -> None:
        await self._lost.wait()
        raise BrokerLost("on purpose")


@contextlib.asynccontextmanager
async def link_to(failing: Failing) -> AsyncIterator[BrokerLink]:
    link = BrokerLink("order-1", CODEC, failing.channel)
    await link.start(lambda *_: None)
    try:
        yield link
    finally:
        await link.stop()


async def until_left(link: BrokerLink) -> None:
    async with asyncio.timeout(5):
        while link.waiting:
            await asyncio.sleep(0.01)
