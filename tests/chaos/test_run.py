"""A run against real processes and containers: its verdict, its folder, and nothing left of it."""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness.checkers import Verdict
from harness.checkers.verdict import examine
from harness.history import load
from harness.report.run_folders import list_folders
from harness.run import in_memory, scenarios
from harness.run.plan import Plan
from harness.run.scenarios import Recurring
from harness.runtimes.deployment import process
from harness.workload import WORKLOADS
from tests.chaos.short_run import crash, scenario
from tests.running import conduct
from tests.runtimes import DOCKER, EVERY_RUNTIME, need

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


@pytest.mark.parametrize("runtime", EVERY_RUNTIME)
def test_a_short_run_holds_and_leaves_a_folder_that_is_judged_the_same(runtime: str, tmp_path: Path) -> None:
    need(runtime)
    received: list[Any] = []
    lasts_s = 3.0 if runtime == "local" else 8.0  # a container takes seconds to start where others work
    what = scenario(crash("order", for_s=0.3), crash("stock-store", at_s=1.2), duration_s=lasts_s)
    finished = conduct(Plan(what, "2pc", 11, runtime=runtime), tmp_path, (received.append,))
    assert finished.judgement.verdict == Verdict.HOLDS, finished.judgement.reasons
    folder = finished.folder.path
    assert {path.name for path in folder.iterdir()} == LEFT
    assert (tmp_path / "latest").resolve() == folder.resolve()
    assert folder.name.endswith("-2pc-11")
    history = load(folder / "history.ndjson")
    assert examine(history) == finished.judgement
    assert received == sorted([*history.operations, *history.events], key=received.index)
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


@pytest.mark.parametrize("runtime", [pytest.param("local", id="local", marks=pytest.mark.slow), DOCKER])
def test_a_shop_without_a_protocol_is_caught_and_the_report_explains_what_happened_to_an_order(
    runtime: str, tmp_path: Path
) -> None:
    """Order dies each time between stock, which has taken the items by then, and payment: one client, so exactly there.

    The gateway sends the checkout again, and it takes the items again: nothing has a record of the first copy.
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
    assert "taken-repeatedly" in names
    report = finished.folder.report.read_text()
    assert "CLAIMED AND VIOLATED" in report
    assert re.search(r"was taken (once|\d+ times) too often for order", report)
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
        output = []
        for line in child.stderr:
            output.append(line)
            if "pause order" in line:  # a node is paused now
                child.send_signal(number)
                child.send_signal(number)  # impatience changes nothing
                break
        output += child.stderr.readlines()
        assert child.wait(20) == 130, "".join(output)
    assert output[0].startswith("seed 1:")
    assert tagged(folder) == []
    assert list(folder.iterdir()) == []
    (run,) = list_folders(tmp_path / "wdm-runs")
    history = load(run / "history.ndjson")
    assert not history.complete
    # The requests after the set-up; on a busy machine the pause comes before the first checkout.
    assert any(operation.op in ("create_order", "checkout") for operation in history.operations)
    assert "because interrupted" in (run / "report.txt").read_text()
