"""A run against a shop in this process that lies, dies or never comes back, on a disk that is full: its verdict."""

import errno
import os
import re
import time
from collections.abc import Callable
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
from harness.report.run_folders import list_folders
from harness.run import nemesis
from harness.run.plan import Plan
from harness.run.scenarios import Recurring, Scenario
from harness.workload import WORKLOADS
from harness.workload.base import Call
from tests.chaos.fakes import Answer, FakeShop, Model, environment_of
from tests.chaos.short_run import crash, scenario
from tests.running import conduct


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., Finished]:
    """A run against a shop in this process."""

    def run(shop: FakeShop, what: Scenario | None = None, **more: Any) -> Finished:
        place = environment_of(shop, tmp_path / "nothing")
        return conduct(Plan(what or scenario(), "2pc", 1), tmp_path / "runs", make_environment=place, **more)

    return run


def test_a_correct_shop_holds(fake: Callable[..., Finished]) -> None:
    shop = FakeShop(Model().answer)
    finished = fake(shop, scenario(crash("order"), crash("stores")))
    assert finished.judgement.verdict == Verdict.HOLDS, finished.judgement.reasons
    assert shop.stopped == 1
    report = finished.folder.report.read_text()
    assert "NOT injected: 1 faults\n  crash on stores" in report


def test_a_fault_that_the_runtime_cannot_inject_is_reported(fake: Callable[..., Finished]) -> None:
    cut = Recurring("partition", ("order<->stock",), (0.1, 0.1), (0.1, 0.1), (0.35, 0.35), {})
    finished = fake(FakeShop(Model().answer), scenario(cut))
    reported = r"NOT injected: 3 faults\n  partition on order<->stock, 3 times: .*links"
    assert re.search(reported, finished.folder.report.read_text())
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
    model, calls = Model(), 0

    def answer(call: Call) -> Answer:
        nonlocal calls
        calls += 1
        status, body = model.answer(call)
        return (status, b"\xff{") if calls > 150 and calls % 3 else (status, body)

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

    monkeypatch.setattr(nemesis.Nemesis, "_started" if what == "begins" else "_ended", defect)
    shop = FakeShop(Model().answer)
    finished = fake(shop, scenario(crash("order", at_s=0.05, for_s=0.01)))  # over long before the load is
    assert finished.judgement.verdict == Verdict.UNKNOWN
    assert "the nemesis failed: TypeError('killed')" in finished.judgement.reasons[0]
    assert shop.stopped == 1


@pytest.mark.parametrize("what", ["watch_nodes", "RunEngine._watch_costs"])
def test_a_watch_that_dies_ends_the_run_and_makes_the_verdict_unknown(
    fake: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    async def defect(*_: object) -> None:
        raise TypeError("killed")

    monkeypatch.setattr(f"harness.run.engine.{what}", defect)
    shop = FakeShop(Model().answer)
    finished = fake(shop, scenario(duration_s=20.0))
    assert finished.judgement.verdict == Verdict.UNKNOWN
    assert "failed: TypeError('killed')" in finished.judgement.reasons[0]
    assert shop.stopped == 1


def test_a_runtime_that_does_not_come_up_is_the_environment(fake: Callable[..., Finished], tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="no room on this machine"):
        fake(FakeShop(Model().answer, fails="no room on this machine"))
    (run,) = list_folders(tmp_path / "runs")
    assert load(run / "history.ndjson").of_kind("trouble")[0].data["why"] == "no room on this machine"


def test_a_full_disk_ends_the_run_and_keeps_what_was_written(
    fake: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 100_000
    write = recorder_module._write_all

    def write_all(descriptor: int, data: bytes) -> None:
        # The footer fits where a longer block of lines was removed; here also behind a short one, of a stall of this machine.
        footer = bytes(data).startswith(b'{"type":"footer"')
        if os.fstat(descriptor).st_size + len(data) > room and not footer:
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
    (run,) = list_folders(tmp_path / "runs")
    history = load(run / "history.ndjson")
    assert not history.complete
    assert len(history.operations) > 100
    assert examine(history).verdict != Verdict.HOLDS


def test_nothing_can_be_written_at_all(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file in the way")
    with pytest.raises(EnvironmentFailure, match="cannot write the run"):
        conduct(
            Plan(scenario(), "2pc", 1),
            tmp_path / "runs",
            make_environment=environment_of(FakeShop(Model().answer), tmp_path),
        )


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
