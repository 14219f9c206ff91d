"""A small bench on real processes: its files, and every number of them computed again by other means."""

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from harness.report.run_folders import describe
from tests.terminal import until
from wdm.cli import main

pytestmark = pytest.mark.slow

SCHEMA = json.loads((Path(__file__).parents[2] / "harness/report/results.schema.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One protocol, as it is and with a node killed, five seconds each: made once, whichever test process comes first."""
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "bench"
    try:
        shared.mkdir()
    except FileExistsError:
        return until(lambda: next(shared.glob("done/*"), None), 120)
    scenario = shared / "one-kill.toml"
    scenario.write_text(
        'summary = "stock dies once"\nduration_s = 5\n[workload]\nname = "checkout"\n'
        '[[fault]]\nkind = "crash"\ntarget = "stock"\nat_s = 1.6\nfor_s = 0.2\n'
    )
    arguments = ["--protocol", "saga", "--scenario", "fault-free", "--scenario", str(scenario)]
    arguments += ["--duration", "5", "--rate", "60", "--seed", "5", "--fail-if", "p50_ms > 30000"]
    assert main(["-q", "bench", *arguments, "--runs-dir", str(shared / "runs")]) == 0
    (shared / "runs").rename(shared / "done")
    (shared / "done" / "latest").unlink()
    return next((shared / "done").glob("*-bench-5"))


@pytest.fixture(scope="module")
def document(bench: Path) -> dict[str, Any]:
    return dict(json.loads((bench / "results.json").read_text("utf-8")))


def test_it_leaves_every_report_and_is_listed(bench: Path) -> None:
    left = {path.name for path in bench.iterdir()}
    assert left == {"bench.json", "runs", "results.json", "results.csv", "summary.md", "junit.xml", "report.html"}
    line = describe(bench)
    assert (line["kind"], line["verdict"], line["protocol"], line["seed"]) == ("bench", "holds", "saga", 5)


def test_results_fit_the_schema(bench: Path, document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(document, SCHEMA)
    for path in (bench / "runs").glob("*/results.json"):
        jsonschema.validate(json.loads(path.read_text("utf-8")), SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "surprise": 1}, SCHEMA)


def test_every_number_of_a_row_can_be_computed_again_from_its_history(bench: Path, document: dict[str, Any]) -> None:
    """By other means: the lines of the file as plain JSON, sorted lists, nothing of harness.bench."""
    assert len(document["rows"]) == 2
    for row in document["rows"]:
        text = (bench / "runs" / row["runs"][0] / "history.ndjson").read_text("utf-8")
        _recompute(row["measured"], [json.loads(line) for line in text.splitlines()])


def _recompute(measured: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    operations = [line for line in lines if line["type"] == "op"]
    events = [line for line in lines if line["type"] == "event"]
    phases = {each["data"]["name"]: each["at_ns"] for each in events if each["kind"] == "phase"}
    start = min([each["invoked_ns"] for each in operations] + [each["at_ns"] for each in events])
    begin, end = phases["load"], phases["heal"]

    def due(each: dict[str, Any]) -> int:
        return int(each.get("due_ns") or each["invoked_ns"])

    under_load = [each for each in operations if each["op"] == "checkout" and begin <= due(each) < end]
    latencies = sorted((each["completed_ns"] - due(each)) / 1e6 for each in under_load)
    outcomes = [each["outcome"] for each in under_load]
    seconds = (end - begin) / 1e9
    assert measured["load_s"] == pytest.approx(seconds, abs=0.001)
    assert measured["load_at_s"] == pytest.approx((begin - start) / 1e9, abs=0.001)
    assert [measured[name] for name in ("asked", "ok", "fail", "unknown")] == [
        len(under_load),
        *(outcomes.count(name) for name in ("ok", "fail", "unknown")),
    ]
    assert measured["rate_per_s"] == pytest.approx(outcomes.count("ok") / seconds, abs=0.01)
    assert measured["offered_per_s"] == pytest.approx(len(under_load) / seconds, abs=0.01)
    for name, share in (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("p999_ms", 0.999), ("max_ms", 1.0)):
        exact = latencies[max(1, math.ceil(share * len(latencies))) - 1]
        assert measured["latency"][name] == pytest.approx(exact, rel=0.0011, abs=0.002)
    assert measured["latency"]["mean_ms"] == pytest.approx(sum(latencies) / len(latencies), rel=0.001, abs=0.002)
    soon = sum(each["outcome"] != "unknown" and each["completed_ns"] - due(each) <= 1e9 for each in under_load)
    assert measured["availability"] == pytest.approx(soon / len(under_load), abs=1e-4)
    assert sum(count for _, count in measured["histogram_us"]) == len(under_load)
    for kind in ("ok", "fail", "unknown"):
        assert sum(each[kind] for each in measured["slices"]) == outcomes.count(kind)
    _recompute_capacity(measured, operations, phases)
    _recompute_costs(measured, operations, [each for each in events if each["kind"] == "cost"], begin, end)
    _recompute_blocked(measured, operations, events)


def _recompute_capacity(measured: dict[str, Any], operations: list[dict[str, Any]], phases: dict[str, int]) -> None:
    if "capacity" not in phases:
        assert measured["capacity_per_s"] is None
        return
    begin = phases["capacity"]
    found = [
        each["completed_ns"]
        for each in operations
        if each["op"] == "checkout" and begin <= each["invoked_ns"] < phases["load"] and each["outcome"] == "ok"
    ]
    assert measured["capacity_per_s"] == pytest.approx(len(found) / (max(found) - begin) * 1e9, abs=0.01)


def _recompute_costs(
    measured: dict[str, Any], operations: list[dict[str, Any]], looks: list[dict[str, Any]], begin: int, end: int
) -> None:
    first, *_, last = [each for each in looks if begin <= each["at_ns"] <= end]
    ended = [
        each
        for each in operations
        if each["op"] == "checkout" and first["at_ns"] < each["completed_ns"] <= last["at_ns"]
    ]

    def total(look: dict[str, Any], name: str) -> float:
        return float(sum(node.get(name, 0) for node in look["data"]["nodes"]))

    for name in ("messages", "parcels", "forced_writes", "store_commands", "store_operations"):
        assert measured["cost"][name] == pytest.approx((total(last, name) - total(first, name)) / len(ended), abs=0.001)
    assert measured["cost"]["messages"] > 1
    both = measured["cost"]["cpu_ms"] + measured["cost"]["store_cpu_ms"]
    assert both == pytest.approx((total(last, "cpu_s") - total(first, "cpu_s")) / len(ended) * 1000, abs=0.01)
    assert measured["cost"]["memory_mb"] == pytest.approx(total(last, "memory_mb"), abs=0.1)


def _recompute_blocked(
    measured: dict[str, Any], operations: list[dict[str, Any]], events: list[dict[str, Any]]
) -> None:
    starts = [each["at_ns"] for each in events if each["kind"] == "fault-start"]
    ok = [each for each in operations if each["op"] == "checkout" and each["outcome"] == "ok"]
    waits = [min((each["completed_ns"] for each in ok if each["invoked_ns"] >= at), default=at) - at for at in starts]
    assert len(measured["faults"]) == len(starts)
    for fault, wait in zip(measured["faults"], waits, strict=True):
        assert fault["from_start_s"]["checkout"] == pytest.approx(wait / 1e9, abs=0.001)
    if waits:
        assert measured["blocked_s"] == pytest.approx(max(waits) / 1e9, abs=0.001)


def test_the_tables_say_the_same_as_the_document(bench: Path, document: dict[str, Any]) -> None:
    rows = list(csv.DictReader(io.StringIO((bench / "results.csv").read_text("utf-8"))))
    for row, said in zip(document["rows"], rows, strict=True):
        assert said["protocol"] == row["protocol"]
        assert float(said["p99_ms"]) == row["measured"]["latency"]["p99_ms"]
        assert int(said["asked"]) == row["measured"]["asked"]
    summary = (bench / "summary.md").read_text("utf-8")
    assert summary.startswith("## wdm bench: holds")
    assert summary.count("\n| ") == 2 + len(rows)
    assert "fail if `p50_ms > 30000`: no" in summary


def test_junit_has_a_suite_a_run_and_one_of_the_limits(bench: Path) -> None:
    suites = ET.parse(bench / "junit.xml").getroot()
    names = [suite.get("name", "") for suite in suites]
    assert len(names) == 3
    assert all(re.match(r"saga, (fault-free|one-kill), 60/s", name) or name == "bench" for name in names), names
    assert [case.get("name") for case in suites[-1]] == ["everything was run", "not p50_ms > 30000"]
    assert not list(suites.iter("failure"))


def test_the_page_shows_the_numbers_of_the_document_and_fetches_nothing(bench: Path, document: dict[str, Any]) -> None:
    page = (bench / "report.html").read_text("utf-8")
    assert len(page.encode()) < 1_000_000
    assert "saga kept its claims" in page
    for row in document["rows"]:
        assert f'<td class="n">{row["measured"]["latency"]["p99_ms"]:.1f}</td>' in page
    assert not re.search(r"(src|href)=[\"'](?!#|data:)", page)
    assert "url(" not in page
    assert "@import" not in page


def test_a_threshold_that_is_crossed_fails_the_bench(bench: Path, tmp_path: Path) -> None:
    again = tmp_path / bench.name
    again.mkdir()
    manifest = json.loads((bench / "bench.json").read_text("utf-8"))
    (again / "bench.json").write_text(
        json.dumps({**manifest, "thresholds": ["@fault-free: p50_ms > 0.001", "messages > 1000"]})
    )
    (again / "runs").symlink_to(bench / "runs")
    assert main(["-q", "report", str(again)]) == 0
    said = json.loads((again / "results.json").read_text("utf-8"))
    crossed, kept = said["thresholds"]
    assert crossed["met"] is False
    assert crossed["crossed_by"] == ["saga, fault-free, 60/s"]
    assert kept["met"] is True
    limits = ET.parse(again / "junit.xml").getroot()[-1]
    assert limits.get("failures") == "1"
