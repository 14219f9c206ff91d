"""The report as JUnit XML: a test suite a run, a test case a checker."""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from harness.checkers import Judgement, Result
from harness.history import History
from harness.report.runs import BenchResults

_FORBIDDEN = {code: "\ufffd" for code in (*range(32), 0xFFFE, 0xFFFF) if code not in (9, 10, 13)}


def render(history: History, judgement: Judgement) -> bytes:
    """Return the suite of a run: a violated claim is a failure, an unknown standing an error, a checker without work skipped."""
    header = history.header
    return _written(_suite(f"{header.scenario} {header.protocol} seed {header.seed}", judgement))


def render_bench(document: Mapping[str, Any], results: BenchResults) -> bytes:
    """Return a suite for each run, and one for the thresholds."""
    suites = Element("testsuites", name="wdm bench")
    for run in results.every():
        suites.append(_suite(f"{run.case}, round {run.round}, seed {run.history.header.seed}", run.judgement))
    thresholds = document["thresholds"]
    if thresholds or document["reasons"]:
        suites.append(_limits(thresholds, document["reasons"]))
    return _written(suites)


def _limits(thresholds: Sequence[Mapping[str, Any]], reasons: Sequence[str]) -> Element:
    failed = sum(not threshold["met"] for threshold in thresholds)
    suite = Element(
        "testsuite", name="bench", tests=str(len(thresholds) + 1), failures=str(failed), errors=str(len(reasons[:1]))
    )
    whole = SubElement(suite, "testcase", classname="bench", name="everything was run")
    if reasons:
        SubElement(whole, "error", message="incomplete").text = printable("\n".join(reasons))
    for threshold in thresholds:
        case = SubElement(suite, "testcase", classname="bench", name=printable(f"not {threshold['text']}"))
        if not threshold["met"]:
            SubElement(case, "failure", message=printable("; ".join(threshold["crossed_by"]) or "nothing was measured"))
    return suite


def _written(element: Element) -> bytes:
    return bytes(tostring(element, encoding="utf-8", xml_declaration=True))


def _suite(name: str, judgement: Judgement) -> Element:
    standings = [result.standing for result in judgement.results]
    suite = Element(
        "testsuite",
        name=printable(name),
        tests=str(len(standings) + 1),
        failures=str(standings.count("claimed-and-violated")),
        errors=str(standings.count("unknown") + (judgement.verdict == "unknown")),
        skipped=str(standings.count("not-applicable")),
    )
    run = SubElement(suite, "testcase", classname=printable(name), name="run")
    if judgement.verdict == "unknown":
        SubElement(run, "error", message="unknown").text = printable("\n".join(judgement.reasons))
    for result in judgement.results:
        _case(SubElement(suite, "testcase", classname=printable(name), name=result.checker), result)
    return suite


def _case(case: Element, result: Result) -> None:
    reasons = printable("\n".join(result.finding.reasons))
    if result.violated:
        message = ", ".join(dict.fromkeys(violation.name for violation in result.violated))
        explained = "\n\n".join(violation.explanation for violation in result.violated)
        SubElement(case, "failure", message=printable(message)).text = printable(explained)
    elif result.standing == "unknown":
        SubElement(case, "error", message="unknown").text = reasons
    elif result.standing == "not-applicable":
        SubElement(case, "skipped", message=reasons)
    if result.allowed:
        explained = "\n\n".join(f"{violation.name}: {violation.explanation}" for violation in result.allowed)
        SubElement(case, "system-out").text = printable(f"seen, and not claimed:\n{explained}")


def printable(text: str) -> str:
    """Replace the characters that XML forbids."""
    return text.translate(_FORBIDDEN)
