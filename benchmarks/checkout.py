"""Checkouts a second of a protocol beside a bare service, as a ratio within one run.

``python -m benchmarks.checkout [--protocol 2pc] [--workers 1] [--clients 50] [--durability everysec] [--rounds 5] [--seconds 4]``

They run at the same time on this machine, and take turns being asked: a round of each. The clients talk to the services' own
ports, without a gateway; the bare service has as many workers as each service of the shop, and is asked twice: with a store
client as anybody would write it, and with the shop's own that batches. Orders have two random items; every checkout
is of a new order.
"""

import argparse
import asyncio
import itertools
import os
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing

import aiohttp
import uvloop

from benchmarks.load import Load, closed_loop
from harness.runtimes.local.deployment import LocalDeployment
from harness.runtimes.local.ports import Ports
from harness.runtimes.local.spec import Spec
from harness.workload.client import ShopClient

ITEMS = USERS = 10_000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkout", description=__doc__.splitlines()[0])
    parser.add_argument("--protocol", default="2pc")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--durability", choices=("everysec", "always"), default="everysec")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--orders", type=int, default=200_000)
    return parser.parse_args()


async def main(chosen: argparse.Namespace) -> None:
    spec = Spec(protocol=chosen.protocol, workers=chosen.workers, durability=chosen.durability)
    async with LocalDeployment(spec) as shop, bare(shop, chosen.workers) as bare_urls:
        await fill(shop, chosen.orders)
        order_urls = [node.url for node in shop.nodes() if node.service == "order" and node.kind == "service"]
        asked = {
            chosen.protocol: (order_urls, paths("/checkout/", range(chosen.orders))),
            "bare": (bare_urls, paths("/take/", itertools.cycle(range(ITEMS)))),
            "bare, batched": (bare_urls, paths("/batched/", itertools.cycle(range(ITEMS)))),
        }
        for urls, numbered in asked.values():
            await closed_loop(urls, numbered, chosen.clients, 1.0)  # warm-up, not counted
        rounds: list[dict[str, Load]] = []
        for _ in range(chosen.rounds):
            rounds.append({name: await closed_loop(*at, chosen.clients, chosen.seconds) for name, at in asked.items()})
            print("   ".join(f"{name}: {say(load)}" for name, load in rounds[-1].items()))
    for other in ("bare", "bare, batched"):
        ratios = [loads[chosen.protocol].rate_per_s / loads[other].rate_per_s for loads in rounds]
        print(f"median ratio {statistics.median(ratios):.2f} of {other} ({min(ratios):.2f} to {max(ratios):.2f})")


def say(load: Load) -> str:
    share = load.cpu_s / load.seconds
    other = {status: count for status, count in load.statuses.items() if status != 200}
    return (
        f"{load.rate_per_s:.0f}/s, p50 {load.quantile_ms(0.5):.1f} ms, p99 {load.quantile_ms(0.99):.1f} ms, "
        f"generator {share:.0%} of a core{f', others {other}' if other else ''}"
    )


def paths(path: str, numbers: range | Iterator[int]) -> Iterator[str]:
    return (f"{path}{number}" for number in numbers)


async def fill(shop: LocalDeployment, orders: int) -> None:
    """Items and users with plenty; through the services' own ports, as it may take longer than a gateway waits."""
    async with ShopClient(shop.url, timeout_s=300) as client:
        await client.need("init_items", ITEMS, 2**40, 1)
        await client.need("init_users", USERS, 2**40)
    async with aiohttp.ClientSession() as session:
        url = f"{shop.node('order-1').url}/batch_init/{orders}/{ITEMS}/{USERS}/1"
        async with session.post(url) as response:
            response.raise_for_status()


@asynccontextmanager
async def bare(shop: LocalDeployment, workers: int) -> AsyncIterator[list[str]]:
    """As many bare services on the order's store, which has nothing else to do while they are measured."""
    with closing(Ports()) as ports:
        addresses = [f"127.0.0.1:{ports.take()}" for _ in range(workers)]
    command = [sys.executable, "-m", "benchmarks.bare"]
    store = {**os.environ, "WDM_STORE_URL": shop.store_url("order")}
    processes = [subprocess.Popen(command, env={**store, "WDM_LISTEN": address}) for address in addresses]  # noqa: ASYNC220
    try:
        for address in addresses:
            await _filled(f"http://{address}/fill")
        yield [f"http://{address}" for address in addresses]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


async def _filled(url: str) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(20):
        while True:
            try:
                async with session.post(url) as response:
                    return response.raise_for_status()
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


if __name__ == "__main__":
    uvloop.run(main(arguments()))
