"""The verdict of a history: it depends on the file alone, and needs no running shop."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from harness.checkers import CHECKERS, Judgement, Verdict, judge
from harness.checkers.claims import MUST_HOLD
from harness.checkers.impact import PLANNED, ineffective_faults
from harness.history import History

TROUBLE = "trouble"
"""The event with which a run records why it ended early."""

JUDGED_BY = "checkers"
"""The key of the checkers in the header's configuration, for a shop whose inside is not visible; without it, all judge."""

WORKLOAD = "workload"

PARTS: Mapping[str, int] = {WORKLOAD: 1, MUST_HOLD: 1, PLANNED: 2}
"""The keys of every run's configuration, with the first version of the history that has them."""


def examine(history: History) -> Judgement:
    """Judge a history, with the requirements of its scenario and the trouble of its run."""
    wanted = history.header.config.get(MUST_HOLD) or ()
    chosen = history.header.config.get(JUDGED_BY) or list(CHECKERS)
    judgement = judge(history, {name: checker for name, checker in CHECKERS.items() if name in chosen})
    reasons = [*_not_configured(history)]
    reasons += [str(event.data.get("why")) for event in history.of_kind(TROUBLE)]
    reasons += [
        f"{result.checker} must hold, but {reason}"
        for result in judgement.results
        if result.checker in wanted and result.standing == "not-applicable"
        for reason in result.finding.reasons
    ]
    ineffective = ineffective_faults(history)
    if ineffective:
        reasons.append(ineffective)
    return _with_doubts(judgement, reasons)


def _not_configured(history: History) -> Iterator[str]:
    """Yield a doubt if the configuration is incomplete: the faults and requirements of the run are then unknown."""
    header = history.header
    lost = [name for name, since in PARTS.items() if header.version >= since and name not in header.config]
    if lost:
        yield f"the first line of the history lacks {', '.join(lost)}: the requirements of this run are unknown"


def _with_doubts(judgement: Judgement, reasons: Iterable[str]) -> Judgement:
    """Return the judgement with more reasons against `holds`; these come first."""
    doubts = tuple(reasons)
    if not doubts:
        return judgement
    verdict = Verdict.UNKNOWN if judgement.verdict == Verdict.HOLDS else judgement.verdict
    return msgspec.structs.replace(judgement, verdict=verdict, reasons=(*doubts, *judgement.reasons))
