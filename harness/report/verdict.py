"""The verdict of a history file: the same wherever it is judged, and without a shop."""

from collections.abc import Iterable

import msgspec

from harness.checkers import Judgement, Verdict, judge
from harness.checkers.impact import in_vain
from harness.history import History

TROUBLE = "trouble"
"""The event with which a run notes why it could not go on."""

MUST_HOLD = "must_hold"
"""In the header's configuration: the checkers that have to have something to judge."""


def examine(history: History) -> Judgement:
    """`judge`, with what the scenario asks for and what stopped the run."""
    wanted = history.header.config.get(MUST_HOLD) or ()
    judgement = judge(history)
    reasons = [str(event.data.get("why")) for event in history.of_kind(TROUBLE)]
    reasons += [
        f"{each.checker} must hold, but {reason}"
        for each in judgement.results
        if each.checker in wanted and each.standing == "not-applicable"
        for reason in each.finding.reasons
    ]
    vain = in_vain(history)
    if vain:
        reasons.append(vain)
    return _but(judgement, reasons)


def _but(judgement: Judgement, reasons: Iterable[str]) -> Judgement:
    """The judgement with more reasons not to believe that it holds; these go first."""
    found = tuple(reasons)
    if not found:
        return judgement
    verdict = Verdict.UNKNOWN if judgement.verdict == Verdict.HOLDS else judgement.verdict
    return msgspec.structs.replace(judgement, verdict=verdict, reasons=(*found, *judgement.reasons))
