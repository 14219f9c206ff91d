"""The examination of real shops: faultless ones pass, planted faults have their names, our own keep their claims."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.judge.examined import Examined, judge
from tests.judge.matrix import NO_FAULT, examine, is_right
from tests.shops import running
from tests.terminal import Terminal

QUICK_BUDGET_S, BUDGET_S = 20, 45

SAMPLE = [
    ("asyncio", NO_FAULT),
    ("node", NO_FAULT),
    ("flask", "no-persistence"),
    ("node", "paid-without-charge"),
]
"""Shops and faults of the tests; `python -m tests.judge.matrix` tries all."""


def files_of(examined: Examined) -> set[str]:
    return {file.name for file in Path(examined.document["folder"]).iterdir()}


async def test_a_planted_fault_is_named_in_a_few_seconds(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    async with running("asyncio", tmp_path / "data", ["not-idempotent"]) as shop:
        urls = [word for name, url in shop.urls.items() for word in (f"--{name}-url", url)]
        examined = await judge(tmp_path, *urls, "--part", "contract", "--part", "kill", budget_s=QUICK_BUDGET_S)
    assert examined.code == 1
    assert "checkout-not-idempotent" in examined.defects
    assert (examined.standing("contract"), examined.standing("kill")) == ("failed", "not examined")
    assert files_of(examined) >= {"results.json", "report.html", "report.txt", "junit.xml", "contract.ndjson"}


@pytest.mark.slow
async def test_parts_with_kills_are_not_examined_without_nodes(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    async with running("asyncio", tmp_path / "data") as shop:
        urls = [word for name, url in shop.urls.items() for word in (f"--{name}-url", url)]
        examined = await judge(tmp_path, *urls, "--part", "contract", "--part", "kill", budget_s=QUICK_BUDGET_S)
    assert (examined.code, examined.standing("contract"), examined.standing("kill")) == (0, "passed", "not examined")


@pytest.mark.slow
@pytest.mark.parametrize(("shop", "fault"), SAMPLE)
async def test_a_sheet_names_the_planted_fault_and_a_faultless_shop_passes(
    shop: str, fault: str, tmp_path: Path
) -> None:
    examined = await examine(shop, fault, BUDGET_S, tmp_path)
    assert is_right(fault, examined), examined.document["headline"]


@pytest.mark.slow
async def test_our_two_phase_commit_is_judged_from_outside(tmp_path: Path) -> None:
    parts = ("retry", "isolation", "kill")
    examined = await _examined_from_outside("2pc", "strict-serializable", parts, BUDGET_S + 15, tmp_path)
    assert examined.code == 0, examined.document["headline"]
    assert examined.document["sales"] > 100


@pytest.mark.slow
async def test_our_shop_without_a_protocol_is_found_from_outside(tmp_path: Path) -> None:
    """A kill finds it if it meets a checkout at the wrong step: most examinations have one, and three have hardly none."""
    for number in range(3):
        folder = tmp_path / f"examination-{number}"
        await asyncio.to_thread(folder.mkdir)
        examined = await _examined_from_outside("unprotected", "none", ("kill",), BUDGET_S, folder)
        if examined.code == 1:
            break
    assert examined.code == 1, examined.document["headline"]
    assert examined.document["sales"] > 100


async def _examined_from_outside(
    protocol: str, isolation: str, parts: Sequence[str], budget_s: int, folder: Path
) -> Examined:
    """Examine a deployment of our own by the addresses and processes that `wdm status` shows."""
    terminal = Terminal(folder)
    try:
        assert terminal.wdm("up", "--protocol", protocol, "--detach", "--port", "0").returncode == 0
        status = terminal.status()
        pids = [f"{node['name']}={node['pid']}" for node in status["nodes"] if node["kind"] != "gateway"]
        nodes = [word for pid in pids for word in ("--pid", pid)]
        chosen = [word for part in parts for word in ("--part", part)]
        return await judge(
            folder / "runs", status["gateway"], *nodes, *chosen, "--isolation", isolation, budget_s=budget_s
        )
    finally:
        terminal.close()
