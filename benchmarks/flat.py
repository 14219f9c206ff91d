"""The cost of a checkout and the time of recovery in a full shop, beside those of an empty shop.

`python -m benchmarks.flat [--protocol 2pc] [--loaded 100000] [--finished 100000] [--rounds 5] [--seconds 4]`

Two shops run side by side and take turns: an empty one with as many orders as the rounds need, and one with many users,
items, orders and finished transactions. Then the order service and the stores of each are killed, and the time to the first
success is measured.
"""

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import Iterator

import aiohttp
import uvloop

from benchmarks.load import Load, closed_loop, describe
from benchmarks.speed.counts import resident_kb
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment

EMPTY = 1_000
EMPTY_ORDERS = 200_000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flat", description=__doc__.splitlines()[0])
    parser.add_argument("--protocol", default="2pc")
    parser.add_argument("--loaded", type=int, default=100_000)
    parser.add_argument("--finished", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    return parser.parse_args()


async def main(chosen: argparse.Namespace) -> None:
    spec = Spec(protocol=chosen.protocol)
    async with LocalDeployment(spec) as empty, LocalDeployment(spec) as loaded:
        await fill(empty, EMPTY, EMPTY_ORDERS)
        await fill(loaded, chosen.loaded, chosen.loaded + chosen.finished)
        few, many = checkouts(), checkouts()
        here, there = ([shop.node("order-1").url] for shop in (empty, loaded))
        await closed_loop(here, few, chosen.clients, 1.0)
        print(f"finishing {chosen.finished} transactions in the loaded shop")
        await closed_loop(there, itertools.islice(many, chosen.finished // 10), chosen.clients, float("inf"))
        before = memory_kb(loaded)
        rest = chosen.finished - chosen.finished // 10
        await closed_loop(there, itertools.islice(many, rest), chosen.clients, float("inf"))
        for name, kb in memory_kb(loaded).items():
            grown = (kb - before[name]) / rest * 1000
            print(f"memory of {name}: {kb / 1024:.0f} MB, {grown:+.2f} KB for each 1,000 of the last {rest} checkouts")
        rounds: list[tuple[Load, Load]] = []
        for _ in range(chosen.rounds):
            rounds.append(
                (
                    await closed_loop(here, few, chosen.clients, chosen.seconds),
                    await closed_loop(there, many, chosen.clients, chosen.seconds),
                )
            )
            small, large = rounds[-1]
            print(
                f"empty: {describe(small)}   loaded: {describe(large)}   ratio {large.rate_per_s / small.rate_per_s:.2f}"
            )
        ratio = statistics.median(large.rate_per_s / small.rate_per_s for small, large in rounds)
        print(f"median: the loaded shop does {ratio:.2f} of the empty one")
        for victim in ("order-1", "order-store", "stock-store"):
            times = [await recovery_s(shop, paths, victim) for shop, paths in ((empty, few), (loaded, many))]
            print(
                f"killed {victim}: first success after {times[0]:.2f} s in the empty shop, {times[1]:.2f} s in the loaded one"
            )


async def fill(shop: LocalDeployment, things: int, orders: int) -> None:
    """Make items and users with large amounts, and orders for them, through the services' own ports."""
    async with aiohttp.ClientSession() as session:
        for node, path in (
            ("stock-1", f"/batch_init/{things}/{2**40}/1"),
            ("payment-1", f"/batch_init/{things}/{2**40}"),
            ("order-1", f"/batch_init/{orders}/{things}/{things}/1"),
        ):
            async with session.post(shop.node(node).url + path) as response:
                response.raise_for_status()


def checkouts() -> Iterator[str]:
    """Yield the path of the checkout of one order after the other."""
    return (f"/checkout/{number}" for number in itertools.count())


def memory_kb(shop: LocalDeployment) -> dict[str, int]:
    """Return the resident memory of each service and store."""
    return {
        node.name: resident_kb(node.pid)
        for node in shop.nodes()
        if node.kind in ("service", "store") and node.pid is not None
    }


async def recovery_s(shop: LocalDeployment, paths: Iterator[str], victim: str) -> float:
    """Kill the victim without other load, and return the seconds until the first of many attempts succeeds."""
    started = time.monotonic()
    shop.kill(victim)
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.post(shop.node("order-1").url + next(paths)) as response:
                    if response.status == 200:
                        return time.monotonic() - started
            except aiohttp.ClientError:
                await asyncio.sleep(0.01)


if __name__ == "__main__":
    uvloop.run(main(arguments()))
