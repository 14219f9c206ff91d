"""Checkers: one file a promise. Each says what a history shows; `judge` compares that with the claims.

A checker is a module with `check(history) -> Finding` and `PROMISES`, which maps the name of each
violation that it can find to the claim which excludes it. To add one, write it and give it a row below.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from harness.checkers import (
    answers,
    atomicity,
    availability,
    balance_reads,
    blocking,
    conservation,
    dead_letters,
    exactly_once,
    isolation,
    order_reads,
    recovery,
    stats,
)
from harness.checkers.claims import ALWAYS, CONTRACT, Promise, claim_text, excludes
from harness.checkers.finding import Finding, Verdict, Violation
from harness.checkers.well_formed import ill_formed
from harness.history import History, uncollected

__all__ = [
    "CHECKERS",
    "Checker",
    "Finding",
    "Judgement",
    "Result",
    "Standing",
    "Verdict",
    "Violation",
    "judge",
]


class Checker(Protocol):
    """What a checker module has."""

    @property
    def PROMISES(self) -> Mapping[str, Promise]: ...  # noqa: N802 (a module's constant)

    def check(self, history: History) -> Finding:
        """Judge; a checker that raises makes the verdict unknown."""


CHECKERS: Mapping[str, Checker] = {
    "conservation": conservation,
    "atomicity": atomicity,
    "exactly-once": exactly_once,
    "answers": answers,
    "order-reads": order_reads,
    "balance-reads": balance_reads,
    "isolation": isolation,
    "recovery": recovery,
    "availability": availability,
    "blocking": blocking,
    "dead-letters": dead_letters,
    "stats": stats,
}

Standing = Literal["claimed-and-held", "claimed-and-violated", "not-claimed-and-seen", "unknown", "not-applicable"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One checker's finding against the claims.

    `violated` are the violations that the protocol promised to exclude, `allowed` those that it did not:
    observed and allowed. `claims` says in words what was claimed.
    """

    checker: str
    standing: Standing
    claims: tuple[str, ...]
    violated: tuple[Violation, ...]
    allowed: tuple[Violation, ...]
    finding: Finding


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of a run, and every result behind it; `reasons` is why it is unknown.

    `not_judged` are the protocol's claims, in words, that nothing in the history could show to be kept or broken: the verdict
    says nothing of them.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    results: tuple[Result, ...]
    not_judged: tuple[str, ...] = ()


def judge(history: History, checkers: Mapping[str, Checker] = CHECKERS) -> Judgement:
    """Violated if a claimed promise is; else unknown if anything is, or the run was cut short; else holds.

    A history that is ill-formed is judged by no checker, and unknown.
    """
    with uncollected():
        complaints = tuple(f"the history is ill-formed: {complaint}" for complaint in ill_formed(history))
        results = tuple(_result(name, _IllFormed() if complaints else each, history) for name, each in checkers.items())
    if complaints:
        return Judgement(verdict=Verdict.UNKNOWN, reasons=complaints, results=results)
    reasons = [
        f"{each.checker}: {reason}" for each in results if each.standing == "unknown" for reason in each.finding.reasons
    ]
    if not history.complete:
        reasons.append("the run was interrupted: its history is not complete")
    if all(each.standing == "not-applicable" for each in results):
        reasons.append("nothing was judged")
    violated = any(each.standing == "claimed-and-violated" for each in results)
    verdict = Verdict.VIOLATED if violated else Verdict.UNKNOWN if reasons else Verdict.HOLDS
    left_out = _not_judged(history, results, checkers)
    return Judgement(verdict=verdict, reasons=tuple(reasons), results=results, not_judged=left_out)


def _not_judged(history: History, results: Sequence[Result], checkers: Mapping[str, Checker]) -> tuple[str, ...]:
    """The protocol's own claims among the promises of checkers that found nothing to judge."""
    idle = [checkers[each.checker] for each in results if each.standing == "not-applicable"]
    promises = [promise for checker in idle for promise in checker.PROMISES.values()]
    claimed = (claim_text(each, history) for each in promises if each.claim != ALWAYS and excludes(each, history))
    return tuple(dict.fromkeys(claimed))


class _IllFormed:
    """Stands in for every checker of a history that cannot be one."""

    PROMISES: Mapping[str, Promise] = {}

    def check(self, _: History) -> Finding:
        return Finding(verdict=Verdict.UNKNOWN, reasons=("the history is ill-formed",))


def _result(name: str, checker: Checker, history: History) -> Result:
    try:
        finding = checker.check(history)
    except Exception as error:  # noqa: BLE001 (whatever went wrong, nothing is known)
        finding = Finding(verdict=Verdict.UNKNOWN, reasons=(f"raised {type(error).__name__}: {error}",))
    promises = checker.PROMISES
    promised = {v.name: excludes(promises.get(v.name, CONTRACT), history) for v in finding.violations}
    violated = tuple(violation for violation in finding.violations if promised[violation.name])
    allowed = tuple(violation for violation in finding.violations if not promised[violation.name])
    return Result(
        checker=name,
        standing=_standing(finding, violated, allowed),
        claims=tuple(dict.fromkeys(claim_text(promise, history) for promise in promises.values())),
        violated=violated,
        allowed=allowed,
        finding=finding,
    )


def _standing(finding: Finding, violated: tuple[Violation, ...], allowed: tuple[Violation, ...]) -> Standing:
    if violated:
        return "claimed-and-violated"
    if finding.verdict == Verdict.NOT_APPLICABLE:
        return "not-applicable"
    if finding.reasons or finding.verdict == Verdict.UNKNOWN:
        return "unknown"
    return "not-claimed-and-seen" if allowed else "claimed-and-held"
