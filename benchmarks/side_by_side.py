"""Checkouts a second of several shops side by side: all are up at once, and take turns under load.

`python -m benchmarks.side_by_side [--shop saga:streams]... [--workers 1] [--clients 50] [--rounds 5] [--seconds 4]`

A shop is PROTOCOL:TRANSPORT; the others are compared with the first one. The clients use the services' own ports, without a
gateway. Orders have two random items, and every checkout has a new order. For each shop the processor time of its processes is
printed in milliseconds a checkout: it is what bounds the rate.
"""

import argparse
import os
import statistics
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from benchmarks.flat import fill
from benchmarks.load import Load, closed_loop, describe
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment

SHOPS = ("2pc:http", "saga:http", "saga:streams", "saga:rabbitmq", "saga:kafka")
THINGS = 10_000
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__.splitlines()[0])
    parser.add_argument("--shop", action="append", metavar="PROTOCOL:TRANSPORT")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--durability", choices=("everysec", "always"), default="everysec")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--orders", type=int, default=100_000)
    return parser.parse_args()


async def main(chosen: argparse.Namespace) -> None:
    names = chosen.shop or SHOPS
    async with AsyncExitStack() as stack:
        targets = {}
        shops = {}
        for name in names:
            protocol, _, transport = name.partition(":")
            spec = Spec(
                protocol=protocol, transport=transport or "http", workers=chosen.workers, durability=chosen.durability
            )
            shops[name] = await stack.enter_async_context(LocalDeployment(spec))
            await fill(shops[name], THINGS, chosen.orders)
            urls = [node.url for node in shops[name].nodes() if node.service == "order" and node.kind == "service"]
            targets[name] = (urls, (f"/checkout/{number}" for number in range(chosen.orders)))
            await closed_loop(*targets[name], chosen.clients, 1.0)  # warm-up, not counted
        rates: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(chosen.rounds):
            for name in names:
                before = _cpu_ms(shops[name])
                load = await closed_loop(*targets[name], chosen.clients, chosen.seconds)
                if load.seconds < chosen.seconds:
                    raise SystemExit(f"{name} has checked out all {chosen.orders} orders: raise --orders")
                rates[name].append(load.rate_per_s)
                print(f"{name:14} {describe(load)}\n{'':14} {_costs(before, _cpu_ms(shops[name]), load)}")
        for name in names:
            ratios = [rate / base for rate, base in zip(rates[name], rates[names[0]], strict=True)]
            print(
                f"{name:14} median {statistics.median(rates[name]):.0f}/s, "
                f"{statistics.median(ratios):.2f} of {names[0]} ({min(ratios):.2f} to {max(ratios):.2f})"
            )


def _cpu_ms(shop: LocalDeployment) -> dict[str, float]:
    """Return the processor time so far by node (proc(5): fields 14 and 15 are utime and stime)."""
    spent = {}
    for node in shop.nodes():
        fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
        spent[node.name] = (int(fields[11]) + int(fields[12])) * 1000 / TICKS_PER_S
    return spent


def _costs(before: dict[str, float], after: dict[str, float], load: Load) -> str:
    spent = {name: (after[name] - before[name]) / max(load.statuses[200], 1) for name in before}
    return ", ".join(f"{name} {ms:.2f}" for name, ms in spent.items() if ms >= 0.005) + " ms of processor a checkout"


if __name__ == "__main__":
    uvloop.run(main(arguments()))
