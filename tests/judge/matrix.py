"""Every planted fault in every foreign shop, judged: `python -m tests.judge.matrix --help`.

Each shop runs with one fault, or with none, and `wdm judge` examines it with kills. A line says whether the sheet names
the defect, and for a shop without faults whether it passes. The exit code is 1 if any of these is not so.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

from tests.judge.examined import Examined, judge
from tests.shops import FAULTS, SUPPORTED, running

NO_FAULT = "none"

NAMED: dict[str, frozenset[str]] = {
    **{fault: frozenset({fault}) for fault in FAULTS},
    "not-idempotent": frozenset({"checkout-not-idempotent"}),
    "error-as-success": frozenset({"failure-counted-as-success", "paid-without-charge"}),
    "rejected-but-happened": frozenset({"refused-but-happened"}),
    "no-persistence": frozenset({"lost-over-kill"}),
}
"""The defects of which the grade sheet has to name one, by planted fault. From outside, a call whose failure was counted as
success is a paid order without a charge; only beside a kill can it be distinguished.
"""

ISOLATION = {"asyncio": "read-uncommitted"}
"""The isolation that a shop claims, where it is not the default: a saga shows effects that it undoes."""


async def examine(shop_name: str, fault: str, budget_s: int, folder: Path) -> Examined:
    """Start a shop with a fault and judge it, with all of its processes as nodes that may be killed."""
    data = folder / f"{shop_name}-{fault}"
    data.mkdir()
    async with running(shop_name, data, [] if fault == NO_FAULT else [fault]) as shop:
        arguments = ["--name", f"{shop_name}-{fault}"]
        arguments += (
            [shop.url] if shop.url else [word for name, url in shop.urls.items() for word in (f"--{name}-url", url)]
        )
        if shop_name in ISOLATION and fault != "dirty-read":
            arguments += ["--isolation", ISOLATION[shop_name]]
        for node in shop.nodes:
            arguments += ["--pid", f"{node}={shop.pids[node]}", "--start-cmd", f"{node}={shop.start_line(node)}"]
        return await judge(folder / "runs", *arguments, budget_s=budget_s)


def is_right(fault: str, examined: Examined) -> bool:
    """Return whether a sheet names the planted fault, or passes a shop without one."""
    if fault == NO_FAULT:
        return examined.code == 0 and not examined.defects
    return examined.code == 1 and bool(examined.defects & NAMED[fault])


async def _all(cases: Sequence[tuple[str, str]], budget_s: int, at_once: int, folder: Path) -> bool:
    slots = asyncio.Semaphore(at_once)

    async def one(shop_name: str, fault: str) -> bool:
        async with slots:
            begin = time.monotonic()
            examined = await examine(shop_name, fault, budget_s, folder)
        right = is_right(fault, examined)
        parts = {
            part["part"]: [finding["defect"] for finding in part["findings"]] or part["standing"]
            for part in examined.document["parts"]
        }
        click.echo(f"{'ok  ' if right else 'MISS'} {shop_name} {fault}: {time.monotonic() - begin:.0f} s, {parts}")
        return right

    return all(await asyncio.gather(*(one(*case) for case in cases)))


@click.command()
@click.option("--shop", "shops", multiple=True, default=tuple(SUPPORTED), show_default=True)
@click.option("--fault", "faults", multiple=True, default=(*FAULTS, NO_FAULT), show_default=True)
@click.option("--budget-s", default=120, show_default=True)
@click.option("--at-once", default=1, show_default=True)
@click.option("--times", default=1, show_default=True)
def main(shops: Sequence[str], faults: Sequence[str], budget_s: int, at_once: int, times: int) -> None:
    """Judge each shop with each fault."""
    good = True
    for _ in range(times):
        with tempfile.TemporaryDirectory(prefix="wdm-matrix-") as folder:
            cases = [
                (shop, fault) for shop in shops for fault in faults if fault == NO_FAULT or fault in SUPPORTED[shop]
            ]
            good &= asyncio.run(_all(cases, budget_s, at_once, Path(folder)))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
