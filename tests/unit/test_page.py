"""The page of one run, of two, and of a run that was cut short: sections, sentences, and forbidden content."""

import re
from base64 import b64encode
from hashlib import sha256
from html import unescape
from pathlib import Path

import msgspec
import pytest
from markupsafe import escape

from harness import formats
from harness.checkers import Verdict
from harness.checkers.verdict import examine
from harness.explore.suite import ModelCheck
from harness.history import Event, History
from harness.metrics.measure import measure
from harness.report import pages
from harness.report.finish import Finished
from harness.report.html import words
from harness.report.html.svg import decades, ticks
from harness.report.runs import Run, read
from harness.run.counterexample import COUNTEREXAMPLE, Counterexample
from harness.run.plan import Plan
from harness.run.scenarios import Recurring, Scenario
from harness.workload.orders import Orders
from tests.running import conduct

WORKLOAD = Orders(users=9, items=9, orders=80, poor=0.34, clients=4, rate_per_s=20)
CRASH = Recurring("crash", ("stock",), (0.8, 0.8), (0.3, 0.3), None, {})
SCENARIO = Scenario(
    name="one kill", summary="-", workload_name="orders", workload=WORKLOAD, duration_s=3, faults=(CRASH,)
)


@pytest.fixture(scope="module")
def saga(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return conduct(Plan(SCENARIO, "saga", 3, runtime="sim"), tmp_path_factory.mktemp("saga"))


@pytest.fixture(scope="module")
def run(saga: Finished) -> Run:
    return read(saga.folder.path)


def changed(run: Run, history: History) -> Run:
    return Run(run.name, history, examine(history), run.steps)


def sections(page: str) -> list[str]:
    return re.findall(r'<section id="(\w+)"', page)


def test_a_run_that_holds_has_a_page_without_anything_wrong(saga: Finished, run: Run) -> None:
    page = saga.folder.page.read_text("utf-8")
    assert page == pages.of_run(run)
    assert sections(page) == ["verdict", "time", "spread", "course", "claims", "again"]
    assert "saga kept its claims" in page
    assert "crash" in page
    assert str(escape(saga.history.header.config["command"])) in page


def kept_way(folder: Path) -> Path:
    """A counterexample of `wdm check`."""
    case = ModelCheck("2pc").cases()[0].name
    kept = Counterexample(
        formats.COUNTEREXAMPLE, "0.1", "2pc", {}, (), None, None, case, 1, "<script>1</script>", True, ()
    )
    (folder / COUNTEREXAMPLE).write_bytes(msgspec.json.encode(kept))
    return folder


def test_a_page_allows_its_own_style_and_script_and_no_other(run: Run, tmp_path: Path) -> None:
    """By their hashes, of what stands in the page itself: a script that got in by what a shop answered does not run."""
    for page in (pages.of_run(run), pages.of_two(run, run), pages.of_check(kept_way(tmp_path))):
        (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)"', page)
        directives = dict(part.strip().split(" ", 1) for part in unescape(policy).split(";"))
        for tag in ("style", "script"):
            inside = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
            hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in inside]
            assert hashes or tag == "script"
            assert directives[f"{tag}-src"].split() == [f"'sha256-{one}'" for one in hashes] or not hashes
        assert "unsafe" not in policy
        assert directives["default-src"] == "'none'"
        assert not re.search(r"<[^>]+\s(style|on[a-z]+)=", page)  # neither is allowed by a hash


def test_lost_money_has_a_sentence_with_its_time(run: Run) -> None:
    """The shop says of a paid order that it is not: its client's money is gone."""
    history = run.history
    load_ns = history.phase_ns("load") or 0
    final_ns = history.phase_ns("final") or 0
    paid = next(
        each
        for each in history.operations
        if each.op == "checkout" and each.outcome == "ok" and each.invoked_ns > load_ns
    )
    operations = [
        msgspec.structs.replace(each, value={**each.value, "paid": False})
        if each.op == "find_order" and each.args == paid.args and each.invoked_ns >= final_ns
        else each
        for each in history.operations
    ]
    broken = changed(run, History(history.header, operations, history.events))
    assert broken.judgement.verdict == Verdict.VIOLATED
    page = pages.of_run(broken)
    assert sections(page)[:2] == ["verdict", "wrong"]
    assert "saga broke its claims" in page
    at_s = f"{(paid.invoked_ns - history.start_ns) / 1e9:.2f} s"
    lede = re.search(r'<p class="lede">(.*?)</p>', page)
    assert lede
    assert f"Order {paid.args[0]} is not paid, but its 2 credit of user" in lede[1]
    assert at_s in lede[1]
    assert "1 order lost money: it was charged and is not paid" in page


def test_a_page_names_a_run_that_was_cut_short(run: Run) -> None:
    history = run.history
    events = [each for each in history.events if each.data.get("name") not in {"heal", "final"}]
    events.append(Event("trouble", history.end_ns, {"why": "interrupted"}))
    cut = changed(run, History(history.header, history.operations, events, complete=False))
    page = pages.of_run(cut)
    assert "<strong>This report is partial:</strong>" in page
    assert "The run of saga is inconclusive" in page
    assert "because interrupted" in page


def test_one_that_never_came_to_its_load_has_no_figures_of_it(run: Run) -> None:
    history = run.history
    events = [each for each in history.events if each.data.get("name") not in {"load", "heal", "final"}]
    found = measure(History(history.header, history.operations, events, complete=False))
    assert (found.asked, found.latency["p50_ms"]) == (0, None)
    assert pages.of_run(changed(run, History(history.header, history.operations, events, complete=False)))


def test_two_runs_stand_side_by_side(run: Run) -> None:
    page = pages.of_two(run, run)
    assert "comparison" in sections(page)
    assert "A: saga, one kill" in page
    assert "B: saga, one kill" in page


@pytest.mark.parametrize("bad", ["<script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "{{ 7 * 7 }}"])
def test_words_from_outside_are_text(run: Run, bad: str, tmp_path: Path) -> None:
    history = run.history
    operations = [
        msgspec.structs.replace(each, value=bad) if each.op == "checkout" and each.outcome == "fail" else each
        for each in history.operations
    ]
    events = [
        msgspec.structs.replace(each, data={**each.data, "target": bad, "said": bad}) if "fault" in each.data else each
        for each in history.events
    ]
    header = msgspec.structs.replace(history.header, scenario=bad, protocol=bad)
    page = pages.of_run(changed(run, History(header, operations, events)))
    assert bad not in page.replace("{{ 7 * 7 }}", "") or "{{" in bad
    assert page.count("<script>") == 1
    assert "<img" not in page
    assert ">49<" not in page


def test_a_page_is_one_file(saga: Finished) -> None:
    page = saga.folder.page.read_text("utf-8")
    assert len(page.encode()) < 300_000
    assert not re.search(r"(?:src|href)=[\"'](?!#|data:)", page)
    assert "url(" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "").replace("http://127.0.0.1", "")


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ({"2pc": "holds"}, "2pc kept its claims"),
        ({"2pc": "holds", "saga": "holds"}, "2pc and saga kept their claims"),
        ({"2pc": "holds", "none": "violated"}, "none broke its claims; 2pc kept its claims"),
        (
            {"a": "holds", "b": "violated", "c": "unknown"},
            "b broke its claims; a kept its claims; the runs of c are inconclusive",
        ),
        ({"a": "unknown"}, "The runs of a are inconclusive"),
    ],
)
def test_the_verdict_of_several_is_one_sentence(names: dict[str, str], sentence: str) -> None:
    assert words.several(names) == sentence


def test_the_summary_for_a_pipeline_has_the_verdict_and_a_line_a_checker(saga: Finished) -> None:
    text = (saga.folder.path / "summary.md").read_text("utf-8")
    assert text.startswith("## saga under one kill: holds\n")
    assert text.count("\n| ") == 2 + len(saga.judgement.results)
    assert "| atomicity | claimed and held | atomicity: eventually | - |" in text


def test_ticks_are_round() -> None:
    assert ticks(97, 5) == [0, 20, 40, 60, 80]
    assert ticks(0, 5) == [0]
    assert decades(3, 400) == [10, 100]
    assert decades(12, 60) == [20, 50]
