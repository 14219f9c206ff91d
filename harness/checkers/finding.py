"""The finding of a checker: a verdict, the violations, and the operations that show them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from harness.history.format import Operation

T = TypeVar("T")

KEPT = 20
"""Violations of one name that are explained; the figures count all of them."""


class Verdict(StrEnum):
    """A verdict. `NOT_APPLICABLE`: the history has nothing that this checker could judge, and the checker does not
    count.
    """

    HOLDS = "holds"
    VIOLATED = "violated"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A violation: `evidence` are its operations in time order, `keys` the entities it concerns."""

    name: str
    explanation: str
    evidence: tuple[Operation, ...] = ()
    keys: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding: `reasons` explain what could not be judged, `figures` are values for reports."""

    verdict: Verdict
    violations: tuple[Violation, ...] = ()
    reasons: tuple[str, ...] = ()
    figures: dict[str, Any] = msgspec.field(default_factory=dict)


def explain_each(
    cases: Iterable[T], name: Callable[[T], str], explain: Callable[[T], Violation]
) -> Iterator[Violation]:
    """Yield the violation of each case; beyond `KEPT` of one name without explanation, which costs more than the
    search.
    """
    counts: Counter[str] = Counter()
    for case in cases:
        counts[name(case)] += 1
        yield explain(case) if counts[name(case)] <= KEPT else Violation(name=name(case), explanation="")


def conclude(violations: Iterable[Violation], reasons: Sequence[str], figures: dict[str, Any]) -> Finding:
    """Return a finding: violated with a violation, else unknown with a reason, else holds."""
    counts: Counter[str] = Counter()
    kept = []
    for violation in violations:
        counts[violation.name] += 1
        if counts[violation.name] <= KEPT:
            kept.append(violation)
    verdict = Verdict.VIOLATED if kept else Verdict.UNKNOWN if reasons else Verdict.HOLDS
    figures = {**figures, "violations": dict(counts)}
    return Finding(verdict=verdict, violations=tuple(kept), reasons=tuple(reasons), figures=figures)


def not_applicable(reason: str) -> Finding:
    """Return a finding that does not count."""
    return Finding(verdict=Verdict.NOT_APPLICABLE, reasons=(reason,))
