"""Reports: what the verdict stands on, and that any history can be rendered."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.checkers import Verdict
from harness.checkers.verdict import examine
from harness.history import Event, Header, History, Operation, RecordedClaims
from harness.report import junit, results, summary, text
from harness.report.run_folders import find
from harness.run.folder import RunFolder
from harness.run.prober import count
from protocols.errors import UsageError
from protocols.registry import load

MS = 1_000_000


def history(*events: Event, outcome: str = "ok", paid: bool = True, **config: object) -> History:
    """One checkout of 2 for 10 credit, with its client's answer and the reads at the end."""
    claims = RecordedClaims(atomicity="atomic", isolation="serializable", durability="always", recovery_s=2)
    header = Header(
        protocol="p",
        claims=claims,
        scenario="s",
        workload="w",
        durability="always",
        runtime="fake",
        seed=3,
        config={"workload": {}, "must_hold": [], "faults": [], **config},
    )
    order = {"order_id": "o", "paid": paid, "items": [["7", 2]], "user_id": "1", "total_cost": 10}
    steps: list[tuple[str, list[object], object]] = [
        ("create_user", [], "1"),
        ("add_funds", ["1", 50], "done"),
        ("create_item", [5], "7"),
        ("add_stock", ["7", 9], "done"),
        ("create_order", ["1"], "o"),
        ("add_item", ["o", "7", 2], "done"),
        ("checkout", ["o"], "\x00 paid \ufffe"),
        ("find_user", ["1"], {"user_id": "1", "credit": 40}),
        ("find_item", ["7"], {"stock": 7, "price": 5}),
        ("find_order", ["o"], order),
    ]
    done = [
        Operation(1, op, args, at * MS, at * MS + 1, outcome if op == "checkout" else "ok", value)  # type: ignore[arg-type]
        for at, (op, args, value) in enumerate(steps, 1)
    ]
    rest = (
        Event("healed", 7 * MS + 2, {}),
        Event("probe", 7 * MS + 3, {"open": 0}),
        Event("phase", 8 * MS, {"name": "final"}),
    )
    return History(header, done, (*events, *rest))


def test_a_report_of_a_run_that_holds() -> None:
    run = history()
    judgement = examine(run)
    assert judgement.verdict == Verdict.HOLDS, judgement.reasons
    report = text.render(run, judgement)
    assert "verdict: holds\n" in report
    assert "no fault was injected" in report
    assert text.headline(run, judgement) == (
        "holds, not judged: isolation: serializable: checkouts 1 acknowledged, 0 rejected, 0 unknown; 0 faults"
    )
    document = results.render(run, judgement)
    assert (document["verdict"], document["not_judged"]) == ("holds", ["isolation: serializable"])
    assert "nothing in this run could judge: isolation: serializable" in report
    assert "not judged: isolation: serializable" in summary.render(run, judgement).splitlines()[0]


def test_a_violation_has_its_steps_and_any_text_is_valid_xml() -> None:
    run = history(paid=False)
    judgement = examine(run)
    assert judgement.verdict == Verdict.VIOLATED
    report = text.render(run, judgement)
    assert "CLAIMED AND VIOLATED" in report
    assert "order o is not paid, but its 10 credit of user 1 is gone." in report
    assert "  1. " in report
    suite = ET.fromstring(junit.render(run, judgement))
    assert int(suite.attrib["failures"]) == len(suite.findall(".//failure")) >= 1
    assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))


@pytest.mark.parametrize(
    ("events", "config", "reason"),
    [
        ([Event("trouble", 1, {"why": "order-1 never came back"})], {}, "order-1 never came back"),
        ([Event("fault-refused", 1, {"why": "no links"})] * 2, {}, "none of the 2 faults was injected: no links"),
        ([], {"must_hold": ["isolation"]}, "isolation must hold, but the amounts do not determine"),
    ],
)
def test_reasons_of_an_unknown_verdict(events: list[Event], config: dict[str, object], reason: str) -> None:
    judgement = examine(history(*events, **config))
    assert judgement.verdict == Verdict.UNKNOWN
    assert judgement.reasons[0].startswith(reason)
    assert examine(history(*events, paid=False, **config)).verdict == Verdict.VIOLATED


def test_a_failpoint_without_a_crash_is_named() -> None:
    def armed(at: int, failpoint: str) -> list[Event]:
        data = {"fault": "crash-at", "target": "services", "settings": {"failpoint": failpoint}}
        return [Event("fault-start", at * MS, data), Event("fault-end", (at + 500) * MS, data)]

    died = Event("node", 100 * MS, {"name": "order-2", "state": "down"})
    store = Event("node", 2_100 * MS, {"name": "stock-store", "state": "down"})
    run = history(*armed(1, "order:after-do:open"), died, *armed(2_000, "stock:after-send:vote"), store)
    report = text.render(run, examine(run))
    assert "did NOT happen: crash-at on services, 1 times: no process passed stock:after-send:vote\n" in report
    assert "passed order:after-do:open" not in report


def test_a_probe_counts_by_what_it_means() -> None:
    rows = [{"state": state} for state in ("prepared", "queued", "open", "committed", "fenced")]
    assert count(rows, load("2pc")) == {"in_doubt": 1, "locks": 2, "fences": 1, "open": 2}
    assert count([], load("2pc")) == {"in_doubt": 0, "locks": 0, "fences": 0, "open": 0}


def test_a_run_is_found_by_any_part_of_its_name_that_only_it_has(tmp_path: Path) -> None:
    one, other = RunFolder.make(tmp_path, "2pc-7"), RunFolder.make(tmp_path, "2pc-7")
    assert one.path != other.path
    for folder in (one, other):
        folder.history.write_text("")
        folder.become_latest()
    assert find(tmp_path, "latest").resolve() == other.path
    assert find(tmp_path, str(one.path)) == one.path
    assert find(tmp_path, other.path.name) == other.path
    with pytest.raises(UsageError, match="several runs are called '2pc'"):
        find(tmp_path, "2pc")
    with pytest.raises(UsageError, match="no run is called 'saga'"):
        find(tmp_path, "saga")
