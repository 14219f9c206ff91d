"""The verdict of a history file: the same wherever it is judged, and without a shop."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from harness.checkers import Judgement, Verdict, judge
from harness.checkers.impact import ASKED, ineffective_faults
from harness.history import History

TROUBLE = "trouble"
"""The event with which a run notes why it could not go on."""

MUST_HOLD = "must_hold"
"""In the header's configuration: the checkers that have to have something to judge."""


WORKLOAD = "workload"

PARTS: Mapping[str, int] = {WORKLOAD: 1, MUST_HOLD: 1, ASKED: 2}
"""What the configuration of every run says, with the version of the history since which it does."""


def examine(history: History) -> Judgement:
    """`judge`, with what the scenario asks for and what stopped the run."""
    wanted = history.header.config.get(MUST_HOLD) or ()
    judgement = judge(history)
    reasons = [*_not_configured(history)]
    reasons += [str(event.data.get("why")) for event in history.of_kind(TROUBLE)]
    reasons += [
        f"{each.checker} must hold, but {reason}"
        for each in judgement.results
        if each.checker in wanted and each.standing == "not-applicable"
        for reason in each.finding.reasons
    ]
    vain = ineffective_faults(history)
    if vain:
        reasons.append(vain)
    return _but(judgement, reasons)


def _not_configured(history: History) -> Iterator[str]:
    """What was to happen and what had to hold is not known of a run whose configuration was lost."""
    header = history.header
    lost = [name for name, since in PARTS.items() if header.version >= since and name not in header.config]
    if lost:
        yield f"the first line of the history lacks {', '.join(lost)}: the plan of this run is unknown"


def _but(judgement: Judgement, reasons: Iterable[str]) -> Judgement:
    """The judgement with more reasons not to believe that it holds; these go first."""
    found = tuple(reasons)
    if not found:
        return judgement
    verdict = Verdict.UNKNOWN if judgement.verdict == Verdict.HOLDS else judgement.verdict
    return msgspec.structs.replace(judgement, verdict=verdict, reasons=(*found, *judgement.reasons))
