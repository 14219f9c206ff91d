"""The report as JUnit XML: a test suite a run, a test case a checker."""

from xml.etree.ElementTree import Element, SubElement, tostring

from harness.checkers import Judgement, Result
from harness.history import History

_FORBIDDEN = {code: "\ufffd" for code in (*range(32), 0xFFFE, 0xFFFF) if code not in (9, 10, 13)}


def render(history: History, judgement: Judgement) -> bytes:
    """A violated claim is a failure, what could not be judged an error, what there was nothing of is skipped."""
    header = history.header
    name = f"{header.scenario} {header.protocol} seed {header.seed}"
    standings = [each.standing for each in judgement.results]
    suite = Element(
        "testsuite",
        name=_clean(name),
        tests=str(len(standings) + 1),
        failures=str(standings.count("claimed-and-violated")),
        errors=str(standings.count("unknown") + (judgement.verdict == "unknown")),
        skipped=str(standings.count("not-applicable")),
    )
    run = SubElement(suite, "testcase", classname=_clean(name), name="run")
    if judgement.verdict == "unknown":
        SubElement(run, "error", message="unknown").text = _clean("\n".join(judgement.reasons))
    for result in judgement.results:
        _case(SubElement(suite, "testcase", classname=_clean(name), name=result.checker), result)
    return bytes(tostring(suite, encoding="utf-8", xml_declaration=True))


def _case(case: Element, result: Result) -> None:
    reasons = _clean("\n".join(result.finding.reasons))
    if result.violated:
        message = ", ".join(dict.fromkeys(violation.name for violation in result.violated))
        told = "\n\n".join(violation.explanation for violation in result.violated)
        SubElement(case, "failure", message=_clean(message)).text = _clean(told)
    elif result.standing == "unknown":
        SubElement(case, "error", message="unknown").text = reasons
    elif result.standing == "not-applicable":
        SubElement(case, "skipped", message=reasons)
    if result.allowed:
        told = "\n\n".join(f"{violation.name}: {violation.explanation}" for violation in result.allowed)
        SubElement(case, "system-out").text = _clean(f"seen, and not claimed:\n{told}")


def _clean(text: str) -> str:
    """Without the characters that no XML may hold."""
    return text.translate(_FORBIDDEN)
