"""Checkers, one file each. A checker returns the violations in a history; `judge` compares them with the protocol's
claims.

A checker is a module with `check(history) -> Finding` and `EXCLUDED_BY`, which maps the name of each
violation that it can find to the claim which excludes it. A new checker is one file and one row below.
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
from harness.checkers.claims import ALWAYS, CONTRACT, Exclusion, applies, describe_claim
from harness.checkers.finding import Finding, Verdict, Violation
from harness.checkers.well_formed import ill_formed
from harness.history import History, gc_paused

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
    """The interface of a checker module."""

    @property
    def EXCLUDED_BY(self) -> Mapping[str, Exclusion]: ...  # noqa: N802 (a module's constant)

    def check(self, history: History) -> Finding:
        """Judge a history; an exception makes the verdict unknown."""


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
    """The finding of one checker against the claims of the protocol.

    `violated` are the violations that a claim excludes, `allowed` the violations that no claim excludes: observed and
    allowed. `claims` are the claims as text.
    """

    checker: str
    standing: Standing
    claims: tuple[str, ...]
    violated: tuple[Violation, ...]
    allowed: tuple[Violation, ...]
    finding: Finding


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of a run and the results behind it; `reasons` explains a verdict that is unknown.

    `not_judged` are the claims of the protocol, as text, for which the history has no evidence either way: the
    verdict does not cover them.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    results: tuple[Result, ...]
    not_judged: tuple[str, ...] = ()


def judge(history: History, checkers: Mapping[str, Checker] = CHECKERS) -> Judgement:
    """Return `violated` if a claim is; else `unknown` if a checker's finding is or the run was interrupted; else
    `holds`.

    An ill-formed history is not judged by any checker: its verdict is `unknown`.
    """
    with gc_paused():
        complaints = tuple(f"the history is ill-formed: {complaint}" for complaint in ill_formed(history))
        results = tuple(
            _result(name, _IllFormed() if complaints else checker, history) for name, checker in checkers.items()
        )
    if complaints:
        return Judgement(verdict=Verdict.UNKNOWN, reasons=complaints, results=results)
    reasons = [
        f"{result.checker}: {reason}"
        for result in results
        if result.standing == "unknown"
        for reason in result.finding.reasons
    ]
    if not history.complete:
        reasons.append("the run was interrupted: its history is not complete")
    if all(result.standing == "not-applicable" for result in results):
        reasons.append("nothing was judged")
    violated = any(result.standing == "claimed-and-violated" for result in results)
    verdict = Verdict.VIOLATED if violated else Verdict.UNKNOWN if reasons else Verdict.HOLDS
    not_judged = _not_judged(history, results, checkers)
    return Judgement(verdict=verdict, reasons=tuple(reasons), results=results, not_judged=not_judged)


def _not_judged(history: History, results: Sequence[Result], checkers: Mapping[str, Checker]) -> tuple[str, ...]:
    """Return the claims of the protocol, as text, among the exclusions of checkers without anything to judge."""
    idle = [checkers[result.checker] for result in results if result.standing == "not-applicable"]
    exclusions = [exclusion for checker in idle for exclusion in checker.EXCLUDED_BY.values()]
    claimed = (
        describe_claim(exclusion, history)
        for exclusion in exclusions
        if exclusion.claim != ALWAYS and applies(exclusion, history)
    )
    return tuple(dict.fromkeys(claimed))


class _IllFormed:
    """The substitute for every checker of an ill-formed history."""

    EXCLUDED_BY: Mapping[str, Exclusion] = {}

    def check(self, _: History) -> Finding:
        return Finding(verdict=Verdict.UNKNOWN, reasons=("the history is ill-formed",))


def _result(name: str, checker: Checker, history: History) -> Result:
    try:
        finding = checker.check(history)
    except Exception as error:  # noqa: BLE001 (a fault of the checker says nothing about the history)
        finding = Finding(verdict=Verdict.UNKNOWN, reasons=(f"raised {type(error).__name__}: {error}",))
    exclusions = checker.EXCLUDED_BY
    excluded = {
        violation.name: applies(exclusions.get(violation.name, CONTRACT), history) for violation in finding.violations
    }
    violated = tuple(violation for violation in finding.violations if excluded[violation.name])
    allowed = tuple(violation for violation in finding.violations if not excluded[violation.name])
    return Result(
        checker=name,
        standing=_standing(finding, violated, allowed),
        claims=tuple(dict.fromkeys(describe_claim(exclusion, history) for exclusion in exclusions.values())),
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
