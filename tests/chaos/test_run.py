"""A whole run: what it leaves, and that nothing that goes wrong stops it from ending well."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness.checkers import Verdict
from harness.checkers.verdict import examine
from harness.errors import EnvironmentFailure
from harness.history import load
from harness.history import recorder as recorder_module
from harness.report.finish import Finished
from harness.report.run_folders import every
from harness.run import in_memory, nemesis, scenarios
from harness.run.engine import RunEngine
from harness.run.plan import Plan
from harness.run.scenarios import Recurring, Scenario
from harness.runtimes.deployment import process
from harness.workload import WORKLOADS
from harness.workload.base import Call
from tests.chaos.fakes import Answer, FakeShop, Model, environment_of
from tests.running import conduct
from tests.runtimes import EVERY_RUNTIME, need

LEFT = {
    "history.ndjson",
    "trace.ndjson",
    "results.json",
    "report.html",
    "report.txt",
    "spans.ndjson",
    "summary.md",
    "junit.xml",
    "run.toml",
    "scenario.toml",
    "logs",
}


def crash(target: str, *, every_s: float = 0.0, for_s: float = 0.1, at_s: float = 0.2) -> Recurring:
    again = (every_s, every_s) if every_s else None
    return Recurring("crash", (target,), (at_s, at_s), (for_s, for_s), again, {})


def scenario(*faults: Recurring, **changes: Any) -> Scenario:
    workload = WORKLOADS["checkout"](users=20, items=10, clients=8)  # type: ignore[call-arg]
    short = Scenario("short", "a test", "checkout", workload, duration_s=1.0, respawn_after_s=0.2, faults=faults)
    return replace(short, **changes)


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., Finished]:
    """A run against a shop in this process."""

    def run(shop: FakeShop, what: Scenario | None = None, **more: Any) -> Finished:
        place = environment_of(shop, tmp_path / "nothing")
        return conduct(Plan(what or scenario(), "2pc", 1), tmp_path / "runs", place=place, **more)

    return run


# ---------------------------------------------------------------- against real processes


@pytest.mark.parametrize("runtime", EVERY_RUNTIME)
def test_a_short_run_holds_and_leaves_a_folder_that_is_judged_the_same(runtime: str, tmp_path: Path) -> None:
    need(runtime)
    heard: list[Any] = []
    lasts_s = 3.0 if runtime == "local" else 8.0  # a container takes seconds to start where others work
    what = scenario(crash("order", for_s=0.3), crash("stock-store", at_s=1.2), duration_s=lasts_s)
    finished = conduct(Plan(what, "2pc", 11, runtime=runtime), tmp_path, (heard.append,))
    assert finished.judgement.verdict == Verdict.HOLDS, finished.judgement.reasons
    folder = finished.folder.path
    assert {path.name for path in folder.iterdir()} == LEFT
    assert (tmp_path / "latest").resolve() == folder.resolve()
    assert folder.name.endswith("-2pc-11")
    history = load(folder / "history.ndjson")
    assert examine(history) == finished.judgement
    assert heard == sorted([*history.operations, *history.events], key=heard.index)
    phases = [event.data["name"] for event in history.of_kind("phase")]
    assert phases == ["up", "setup", "load", "heal", "final"]
    assert [event.data["target"] for event in history.of_kind("fault-start")] == ["order", "stock-store"]
    assert {"order-1.log", "stock-store.log"} <= {path.name for path in (folder / "logs").iterdir()}
    said = tomllib.loads((folder / "run.toml").read_text())
    assert (said["seed"], said["protocol"], len(said["fault"])) == (11, "2pc", 2)
    assert json.loads((folder / "results.json").read_text())["verdict"] == "holds"
    report = (folder / "report.txt").read_text()
    assert "durability everysec: a store forces its log" in report
    assert "claimed and held" in report
    assert not ET.parse(folder / "junit.xml").findall(".//failure")


@pytest.mark.parametrize("runtime", EVERY_RUNTIME)
def test_a_shop_without_a_protocol_is_caught_and_the_report_tells_what_happened_to_an_order(
    runtime: str, tmp_path: Path
) -> None:
    """Order dies each time between stock, which has taken the items by then, and payment: one client, so exactly there.

    So many items that what is missing of one is hardly ever explained by another order as well.
    """
    need(runtime)
    workload = WORKLOADS["checkout"](users=40, items=40, lines=1, poor=0.0, looks=0.0, clients=1, rate_per_s=60)  # type: ignore[call-arg]
    settings = {"failpoint": ("order:after-send:change",), "passing": (2, 2)}
    between = Recurring("crash-at", ("order",), (0.3, 0.3), (1.1, 1.1), (1.2, 1.2), settings)
    plan = Plan(scenario(between, workload=workload, duration_s=3.5), "unprotected", 1, runtime=runtime)
    finished = conduct(plan, tmp_path)
    assert finished.judgement.verdict == Verdict.VIOLATED
    names = {violation.name for result in finished.judgement.results for violation in result.violated}
    assert "taken-but-unpaid" in names
    report = finished.folder.report.read_text()
    assert "CLAIMED AND VIOLATED" in report
    assert " is not paid, but its " in report
    assert "  1. " in report


@pytest.mark.slow
@pytest.mark.parametrize("runtime", EVERY_RUNTIME)
def test_the_default_scenario_catches_a_shop_without_a_protocol(runtime: str) -> None:
    """Found when the shop had become too fast for it: with little under way, kills met nothing half done."""
    need(runtime)
    default = scenarios.load(scenarios.DEFAULT)
    found = (in_memory.run(Plan(default, "unprotected", seed, runtime=runtime)).judgement.verdict for seed in (1, 2, 3))
    assert Verdict.VIOLATED in found


def tagged(folder: Path) -> list[process.Identity]:
    """Every process that was started with this temporary folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                identity = process.identify(int(entry.name))
                found += [identity] if identity else []
        except OSError:
            continue
    return found


PAUSE = """
summary = "The order service is paused for good"

[workload]
name = "checkout"
users = 5
items = 5

[[fault]]
kind = "pause"
target = "order"
at_s = 0.3
"""


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupt_leaves_the_history_and_no_process(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WDM_")}
    environment |= {"TMPDIR": str(folder), "XDG_STATE_HOME": str(tmp_path)}
    (tmp_path / "pause.toml").write_text(PAUSE)
    command = [sys.executable, "-m", "wdm", "chaos", "pause.toml", "--runtime", "local", "--seed", "1"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        said = []
        for line in child.stderr:
            said.append(line)
            if "pause order" in line:  # a node is paused now
                child.send_signal(number)
                child.send_signal(number)  # impatience changes nothing
                break
        said += child.stderr.readlines()
        assert child.wait(20) == 130, "".join(said)
    assert said[0].startswith("seed 1:")
    assert tagged(folder) == []
    assert list(folder.iterdir()) == []
    (run,) = every(tmp_path / "wdm-runs")
    history = load(run / "history.ndjson")
    assert not history.complete
    # What clients asked once the set-up was over; on a busy machine the pause comes before the first checkout.
    assert any(operation.op in ("create_order", "checkout") for operation in history.operations)
    assert "because interrupted" in (run / "report.txt").read_text()


# ---------------------------------------------------------------- against a shop in this process


def test_a_correct_shop_holds(fake: Callable[..., Finished]) -> None:
    shop = FakeShop(Model().answer)
    finished = fake(shop, scenario(crash("order"), crash("stores")))
    assert finished.judgement.verdict == Verdict.HOLDS, finished.judgement.reasons
    assert shop.stopped == 1
    report = finished.folder.report.read_text()
    assert "NOT injected: 1 faults\n  crash on stores" in report


def test_a_fault_that_the_runtime_cannot_inject_is_told(fake: Callable[..., Finished]) -> None:
    cut = Recurring("partition", ("order<->stock",), (0.1, 0.1), (0.1, 0.1), (0.35, 0.35), {})
    finished = fake(FakeShop(Model().answer), scenario(cut))
    told = r"NOT injected: 3 faults\n  partition on order<->stock, 3 times: .*links"
    assert re.search(told, finished.folder.report.read_text())
    assert not finished.history.of_kind("fault-start")


def test_a_shop_that_forgets_to_charge_is_violated(fake: Callable[..., Finished]) -> None:
    finished = fake(FakeShop(Model(forgets=True).answer))
    assert finished.judgement.verdict == Verdict.VIOLATED
    assert "paid-but-not-charged" in finished.folder.report.read_text()
    (suite,) = ET.parse(finished.folder.path / "junit.xml").iter("testsuite")
    assert int(suite.attrib["failures"]) >= 1


NONSENSE: list[Callable[[Call], Answer]] = [
    lambda _: (200, b"<html>"),
    lambda _: (500, {"error": "no"}),
    lambda _: (200, {"user_id": None, "item_id": 1.5, "order_id": []}),
]


@pytest.mark.parametrize("answer", NONSENSE, ids=range(len(NONSENSE)))
def test_a_service_that_answers_nonsense_makes_the_verdict_unknown(
    fake: Callable[..., Finished], answer: Callable[[Call], Answer]
) -> None:
    shop = FakeShop(answer)
    finished = fake(shop)
    assert finished.judgement.verdict == Verdict.UNKNOWN
    assert any(reason.startswith("set-up: create_user() was answered") for reason in finished.judgement.reasons)
    assert shop.stopped == 1


def test_a_service_that_begins_to_answer_nonsense_never_breaks_the_run(fake: Callable[..., Finished]) -> None:
    model, asked = Model(), 0

    def answer(call: Call) -> Answer:
        nonlocal asked
        asked += 1
        status, body = model.answer(call)
        return (status, b"\xff{") if asked > 150 and asked % 3 else (status, body)

    finished = fake(FakeShop(answer))
    assert finished.history.complete
    outcomes = {operation.outcome for operation in finished.history.operations}
    assert "unknown" in outcomes
    assert finished.judgement.verdict in {Verdict.HOLDS, Verdict.UNKNOWN}


def test_a_node_that_never_comes_back_makes_the_verdict_unknown(
    fake: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nemesis, "BACK_WITHIN_S", 0.2)
    shop = FakeShop(Model().answer, lost=True)
    finished = fake(shop, scenario(crash("order")))
    assert finished.judgement.verdict == Verdict.UNKNOWN
    assert "never came back within 0.2 s after the heal: order-1 (down)" in finished.judgement.reasons[0]
    assert shop.stopped == 1
    assert examine(load(finished.folder.history)) == finished.judgement


@pytest.mark.parametrize("what", ["begins", "ends"])
def test_a_nemesis_that_dies_makes_the_verdict_unknown(
    fake: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def defect(*_: object) -> None:
        raise TypeError("killed")

    monkeypatch.setattr(nemesis.Nemesis, "_started" if what == "begins" else "_over", defect)
    shop = FakeShop(Model().answer)
    finished = fake(shop, scenario(crash("order")))
    assert finished.judgement.verdict == Verdict.UNKNOWN
    assert "the nemesis failed: TypeError('killed')" in finished.judgement.reasons[0]
    assert shop.stopped == 1


@pytest.mark.parametrize("what", ["_watch_nodes", "_watch_costs"])
def test_a_watch_that_dies_ends_the_run_and_makes_the_verdict_unknown(
    fake: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    async def defect(_: object) -> None:
        raise TypeError("killed")

    monkeypatch.setattr(RunEngine, what, defect)
    shop = FakeShop(Model().answer)
    finished = fake(shop, scenario(duration_s=20.0))
    assert finished.judgement.verdict == Verdict.UNKNOWN
    assert "failed: TypeError('killed')" in finished.judgement.reasons[0]
    assert shop.stopped == 1


def test_a_runtime_that_does_not_come_up_is_the_environment(fake: Callable[..., Finished], tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="no room on this machine"):
        fake(FakeShop(Model().answer, fails="no room on this machine"))
    (run,) = every(tmp_path / "runs")
    assert load(run / "history.ndjson").of_kind("trouble")[0].data["why"] == "no room on this machine"


def test_a_full_disk_ends_the_run_and_keeps_what_was_written(
    fake: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 100_000
    write = recorder_module._write_all

    def write_all(descriptor: int, data: bytes) -> None:
        if os.fstat(descriptor).st_size + len(data) > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(descriptor, data)

    monkeypatch.setattr(recorder_module, "_write_all", write_all)
    monkeypatch.setattr(recorder_module, "FLUSH_BYTES", 1_000)
    shop = FakeShop(Model().answer)
    started = time.monotonic()
    with pytest.raises(EnvironmentFailure, match=r"history.ndjson: cannot write the history: No space left on device"):
        fake(shop, scenario(duration_s=60.0, workload=WORKLOADS["checkout"](clients=32, rate_per_s=2_000)))  # type: ignore[call-arg]
    assert time.monotonic() - started < 30
    assert shop.stopped == 1
    (run,) = every(tmp_path / "runs")
    history = load(run / "history.ndjson")
    assert not history.complete
    assert len(history.operations) > 100
    assert examine(history).verdict != Verdict.HOLDS


def test_nothing_can_be_written_at_all(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file in the way")
    with pytest.raises(EnvironmentFailure, match="cannot write the run"):
        conduct(Plan(scenario(), "2pc", 1), tmp_path / "runs", place=environment_of(FakeShop(Model().answer), tmp_path))


def test_every_fault_is_undone_when_the_run_breaks(
    fake: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = FakeShop(Model().answer)
    seen: list[str] = []
    down = shop.down

    async def look_and_stop() -> None:
        seen.extend(node.state for node in shop.nodes())
        await down()

    monkeypatch.setattr(shop, "down", look_and_stop)

    def fail(*_: Any) -> None:
        raise EnvironmentFailure("broken on purpose")

    monkeypatch.setattr("harness.run.quiescence.read_all", fail)
    paused = Recurring("pause", ("order",), (0.1, 0.1), (0.0, 0.0), None, {})
    with pytest.raises(EnvironmentFailure, match="broken on purpose"):
        fake(shop, scenario(paused))
    assert seen == ["running"] * 3
