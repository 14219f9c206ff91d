"""`python -m benchmarks.speed [--contender NAME]... [--items N]... [--spread NAME]... [--workers N]... [--all] [--json]`"""

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import uvloop
from rich.console import Console

from benchmarks.speed import __doc__ as about
from benchmarks.speed.contenders import BARE, brought_up, exists, parse
from benchmarks.speed.orders import SPREADS
from benchmarks.speed.rounds import Case, Stage
from benchmarks.speed.tables import document, show, show_open
from protocols.errors import UsageError

PROTOCOLS = (BARE, "lua", "saga", "2pc", "unprotected")
QUICK = (*PROTOCOLS, "2pc/always", "saga/always", "2pc/locks=escrow")
EVERYTHING = (*QUICK, "lua/always", "unprotected/always", f"{BARE}/always")
OPEN_SHARE = 0.7
WORTH_A_RATE = ("lua", "saga", "2pc")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--contender",
        action="append",
        metavar="NAME",
        help="bare, or PROTOCOL[/always][/transport=NAME][/OPTION=VALUE]",
    )
    parser.add_argument("--items", action="append", type=int, metavar="N", help="items an order (1 and 10)")
    parser.add_argument("--spread", action="append", choices=tuple(SPREADS), help="which items (uniform and single)")
    parser.add_argument("--workers", action="append", type=int, metavar="N", help="processes a service (1)")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round")
    parser.add_argument("--all", action="store_true", help="every contender, case and number of workers: half an hour")
    parser.add_argument("--json", action="store_true", help="one document on stdout, tables on stderr")
    return parser.parse_args()


async def main(chosen: argparse.Namespace) -> dict[str, Any]:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # the shops stop whatever ends the run
    console = Console(stderr=chosen.json, width=None if sys.stdout.isatty() else 160)
    console.print(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; generator on the same cores"
    )
    results: dict[str, Any] = {}
    for workers in chosen.workers or ((1, 2) if chosen.all else (1,)):
        names = [
            name
            for name in chosen.contender or (EVERYTHING if chosen.all else QUICK)
            if chosen.contender or exists(name)
        ]
        async with AsyncExitStack() as stack:
            stage = Stage([await stack.enter_async_context(brought_up(name, workers)) for name in names])
            for case in cases(chosen):
                title = f"{case}, {workers} worker{'s' * (workers > 1)} a service"
                taken = await stage.closed(case, concerned(case, names), chosen.rounds, chosen.seconds)
                show(console, title, taken)
                results[title] = document(taken)
                if case.spread == "uniform" and case.items == 1:
                    rates = {name: OPEN_SHARE * taken[name].rate_per_s for name in names if name in WORTH_A_RATE}
                    loads = {
                        name: (rate, await stage.opened(case, name, rate, 2 * chosen.seconds))
                        for name, rate in rates.items()
                    }
                    show_open(console, title, loads)
                    results[title]["open"] = {
                        name: {"rate_per_s": rate, "p50_ms": load.quantile_ms(0.5), "p99_ms": load.quantile_ms(0.99)}
                        for name, (rate, load) in loads.items()
                    }
    return results


def cases(chosen: argparse.Namespace) -> Sequence[Case]:
    if chosen.items or chosen.spread:
        return [
            Case(items, spread, chosen.clients)
            for items in chosen.items or (1,)
            for spread in chosen.spread or ("uniform",)
        ]
    kinds = [(1, "uniform"), (10, "uniform"), (1, "single")]
    if chosen.all:
        kinds += [(1, "hot"), (10, "hot"), (2, "uniform")]
    return [Case(items, spread, chosen.clients) for items, spread in kinds]


def concerned(case: Case, names: Sequence[str]) -> Sequence[str]:
    """Return the contenders of a case. The bare script changes one account in every case, so it takes part in one case only."""
    return names if case == Case(clients=case.clients) else [name for name in names if not name.startswith(BARE)]


if __name__ == "__main__":
    options = arguments()
    try:
        for one in options.contender or ():
            parse(one, 1)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    try:
        results = uvloop.run(main(options))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
    if options.json:
        print(json.dumps(results, indent=2))
