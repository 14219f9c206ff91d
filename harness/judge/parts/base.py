"""The base of the parts: the grade of a part, and the judgement of its rounds."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from harness.checkers.verdict import examine
from harness.history import History
from harness.judge.defects import DefectFinding, by_severity
from harness.judge.diagnosis import OF_BALANCES, diagnose
from harness.judge.examination import Examination, Judged
from harness.judge.round import Round, conduct
from harness.judge.settling import last_settled

Standing = Literal["passed", "failed", "inconclusive", "not examined"]


class Grade(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one part. `reasons` explain an inconclusive or unexamined part, `figures` are (label, value).

    `sales` counts the acknowledged checkouts.
    """

    part: str
    standing: Standing
    findings: tuple[DefectFinding, ...] = ()
    reasons: tuple[str, ...] = ()
    figures: tuple[tuple[str, str], ...] = ()
    histories: tuple[str, ...] = ()
    sales: int = 0


class ExaminationPart(Protocol):
    """The interface of a part. `share` is its share of the budget, `faults` whether it needs nodes that may be broken."""

    name: str
    summary: str
    share: float
    faults: bool

    async def examine(self, examination: Examination, within_s: float) -> Grade:
        """Examine the shop within a time limit in seconds."""


async def judged(plan: Round, examination: Examination, within_s: float) -> Judged:
    """Conduct a round and name its defects."""
    history = await conduct(plan, examination, within_s)
    judgement = examine(history)
    file = f"{plan.name}.ndjson"
    findings = [*diagnose(history, judgement, file), *examination.ids.add(file, history.operations)]
    cut = _cut_settling(history, examination.limits.settle_s)
    if cut:
        # Less time than the user grants to the shop: a balance at its end proves nothing.
        findings = [finding for finding in findings if finding.defect not in MAY_SETTLE]
    return Judged(history, tuple(merged(findings)), (*judgement.reasons, *cut))


MAY_SETTLE = frozenset(
    {
        "charge-without-paid", "paid-without-charge", "failure-counted-as-success", "lost-compensation", "in-doubt-leak",
        "unbalanced", "never-settled",
    }
)  # fmt: skip
"""Defects that a shop may still be about to repair, where its settling time was not over."""


def _cut_settling(history: History, settle_s: float) -> list[str]:
    """Return the reason against a verdict on balances: the budget ended before the settling time."""
    event = last_settled(history)
    if event is None or not event.data["left"] or event.data["within_s"] >= settle_s:
        return []
    return [
        f"the budget ended {event.data['within_s']:.0f} s after the load, before the settling time of {settle_s:g} s"
    ]


def grade(
    part: str,
    rounds: Sequence[Judged],
    figures: Iterable[tuple[str, Any]] = (),
    more: Iterable[DefectFinding] = (),
    reasons: Iterable[str] = (),
) -> Grade:
    """Return the grade of a part from its rounds, and from the findings and reasons of its own."""
    findings = merged([*more, *(finding for judged in rounds for finding in judged.findings)])
    reasons = tuple(dict.fromkeys((*reasons, *(reason for judged in rounds for reason in judged.reasons))))
    standing: Standing = "failed" if findings else "inconclusive" if reasons or not rounds else "passed"
    return Grade(
        part=part,
        standing=standing,
        findings=tuple(findings),
        reasons=reasons,
        figures=tuple((label, str(value)) for label, value in figures),
        sales=sum(acknowledged(judged.history) for judged in rounds),
        histories=tuple(judged.history.header.scenario.removeprefix("judge: ") + ".ndjson" for judged in rounds),
    )


def merged(findings: Iterable[DefectFinding]) -> list[DefectFinding]:
    """Return one finding for each defect, with the cases of all."""
    by_name: dict[str, DefectFinding] = {}
    for finding in findings:
        known = by_name.get(finding.defect)
        by_name[finding.defect] = (
            msgspec.structs.replace(
                known,
                sure=known.sure or finding.sure,
                times=known.times + finding.times,
                concerns=tuple(dict.fromkeys((*known.concerns, *finding.concerns))),
                # Every broken rule is a finding of its own, with its request and its answer.
                **(
                    {
                        "explanation": f"{known.explanation}\n\n{finding.explanation}",
                        "evidence": (*known.evidence, *finding.evidence),
                    }
                    if finding.defect == "contract"
                    else {}
                ),
            )
            if known
            else finding
        )
    return by_severity(list(by_name.values()))


def without_guesses(grades: Sequence[Grade]) -> list[Grade]:
    """Return the grades with `unbalanced` in place of every defect that is only a guess, where another one is sure.

    Many orders share an account, so that several of them may explain its balance; in another part, one is the only explanation.
    """
    findings = [finding for grade in grades for finding in grade.findings if finding.defect in OF_BALANCES]
    sure = {finding.defect for finding in findings if finding.sure}

    def named(finding: DefectFinding) -> DefectFinding:
        guess = finding.defect in OF_BALANCES and finding.defect not in sure
        return msgspec.structs.replace(finding, defect="unbalanced") if guess and sure else finding

    return [msgspec.structs.replace(grade, findings=tuple(merged(map(named, grade.findings)))) for grade in grades]


def acknowledged(history: History, op: str = "checkout") -> int:
    """Return the number of successes of an operation."""
    return sum(operation.op == op and operation.outcome == "ok" for operation in history.operations)


def counts(history: History, op: str = "checkout") -> str:
    """Return the outcomes of an operation during the load in words."""
    begin, end = history.phase_ns("load") or 0, history.phase_ns("heal") or history.end_ns
    tried = (
        operation for operation in history.operations if operation.op == op and begin <= operation.invoked_ns < end
    )
    by = [operation.outcome for operation in tried]
    return f"{by.count('ok')} acknowledged, {by.count('fail')} rejected, {by.count('unknown')} unknown"
