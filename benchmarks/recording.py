"""The cost of recording: checkouts a second with a history and spans, beside checkouts a second without both.

`python -m benchmarks.recording [--protocol 2pc] [--clients 32] [--rounds 30] [--seconds 1] [--trace 4]`

Two shops are up at once and take turns under load, in an order that changes from round to round. One is as in `wdm bench`: its
services write the spans of one in `--trace` transactions, its clients write a history, and a meter reads its nodes every second.
The other has none of these. The checkers run after a load and cost it nothing.
"""

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import uvloop

from harness.bench.load_generator import LoadGenerator, SessionPool, stop_after
from harness.history import FileRecorder, Header, RecordedClaims
from harness.run.load import ClientPool
from harness.runtimes.deployment.cost_meter import CostMeter
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient

ITEMS, USERS, CREDIT = 500, 200, 2**40
PER_S = 2_500
CLAIMS = RecordedClaims(atomicity="atomic", isolation="none", durability="everysec")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recording", description=__doc__.splitlines()[0])
    parser.add_argument("--protocol", default="2pc")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--trace", type=int, default=4)
    return parser.parse_args()


async def main(chosen: argparse.Namespace) -> float:
    """Return the median ratio of the rate with recording to the rate without."""
    orders = round(PER_S * (chosen.seconds * chosen.rounds + 2))
    async with AsyncExitStack() as stack:
        plain = await _up(stack, Spec(protocol=chosen.protocol), orders)
        shop = await _up(stack, Spec(protocol=chosen.protocol, trace=chosen.trace), orders)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        client = await stack.enter_async_context(ShopClient(shop.url))
        recorder = stack.enter_context(FileRecorder(folder / "history.ndjson", _header(chosen.protocol)))
        generator = LoadGenerator(SessionPool(ClientPool(client, recorder)), _numbers(orders), time.monotonic_ns)
        bare = CountingLoop(await stack.enter_async_context(ShopClient(plain.url)), _numbers(orders))
        watching = asyncio.create_task(_watch(CostMeter(shop), recorder))
        try:
            for _ in range(2):
                await bare.rate(chosen.clients, 0.5)  # warm-up, not counted
                await _recorded(generator, chosen.clients, 0.5)
            ratios = [await _round(number, bare, generator, chosen) for number in range(chosen.rounds)]
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    middle = statistics.median(ratios)
    print(f"median ratio {middle:.3f} ({min(ratios):.3f} to {max(ratios):.3f}), load {os.getloadavg()[0]:.1f}")
    return middle


async def _round(number: int, bare: "CountingLoop", generator: LoadGenerator, chosen: argparse.Namespace) -> float:
    """Measure both shops. The first of them changes from round to round, so that a change over time meets both."""
    if number % 2:
        without = await bare.rate(chosen.clients, chosen.seconds)
        recorded = await _recorded(generator, chosen.clients, chosen.seconds)
    else:
        recorded = await _recorded(generator, chosen.clients, chosen.seconds)
        without = await bare.rate(chosen.clients, chosen.seconds)
    print(f"{recorded:.0f}/s recorded, {without:.0f}/s without: {recorded / without:.3f}")
    return recorded / without


class CountingLoop:
    """A closed loop that only counts."""

    def __init__(self, client: ShopClient, orders: Iterator[str]) -> None:
        self._client = client
        self._orders = orders

    async def rate(self, clients: int, seconds: float) -> float:
        done, began = 0, time.monotonic()

        async def client() -> None:
            nonlocal done
            while time.monotonic() < began + seconds and (order := next(self._orders, None)) is not None:
                response = await self._client.call("checkout", order)
                done += response.outcome == "ok"

        await asyncio.gather(*(client() for _ in range(clients)))
        return done / (time.monotonic() - began)


async def _recorded(generator: LoadGenerator, clients: int, seconds: float) -> float:
    done, began = [], time.monotonic()
    generator.on_answer = done.append
    async with stop_after(seconds) as over:
        await generator.closed_loop(clients, over)
    return sum(operation.outcome == "ok" for operation in done) / (time.monotonic() - began)


async def _up(stack: AsyncExitStack, spec: Spec, orders: int) -> LocalDeployment:
    shop = await stack.enter_async_context(LocalDeployment(spec))
    async with ShopClient(shop.url, timeout_s=120) as client:
        await client.need("init_items", ITEMS, CREDIT, 1)
        await client.need("init_users", USERS, CREDIT)
        await client.need("init_orders", orders, ITEMS, USERS, 1)
    return shop


def _numbers(orders: int) -> Iterator[str]:
    """Return the numbers of the orders in random order: a shop may keep neighbours together."""
    numbers = list(range(orders))
    random.Random(1).shuffle(numbers)
    return map(str, numbers)


def _header(protocol: str) -> Header:
    return Header(
        protocol=protocol,
        claims=CLAIMS,
        scenario="-",
        workload="orders",
        durability="everysec",
        runtime="local",
        seed=1,
    )


async def _watch(meter: CostMeter, recorder: FileRecorder) -> None:
    with suppress(asyncio.CancelledError):
        while True:
            recorder.event("cost", nodes=await meter.read())
            await asyncio.sleep(1)


if __name__ == "__main__":
    uvloop.run(main(arguments()))
