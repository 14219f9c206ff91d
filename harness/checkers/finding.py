"""What a checker says: a verdict, what it saw, and the operations that show it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from harness.history.format import Operation

T = TypeVar("T")

KEPT = 20
"""Violations of one name that are told in full; the figures count them all."""


class Verdict(StrEnum):
    """`NOT_APPLICABLE`: the history holds nothing that this checker could judge, and counts for nothing."""

    HOLDS = "holds"
    VIOLATED = "violated"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that should not be: `evidence` are its operations in time order, `keys` whom it concerns."""

    name: str
    explanation: str
    evidence: tuple[Operation, ...] = ()
    keys: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """`reasons` says what could not be judged and why, `figures` whatever a report may want to show."""

    verdict: Verdict
    violations: tuple[Violation, ...] = ()
    reasons: tuple[str, ...] = ()
    figures: dict[str, Any] = msgspec.field(default_factory=dict)


def explained(found: Iterable[T], name: Callable[[T], str], tell: Callable[[T], Violation]) -> Iterator[Violation]:
    """The violation of each `found`; beyond `KEPT` of one name only the name, since telling costs more than finding."""
    counts: Counter[str] = Counter()
    for each in found:
        counts[name(each)] += 1
        yield tell(each) if counts[name(each)] <= KEPT else Violation(name=name(each), explanation="")


def conclude(violations: Iterable[Violation], reasons: Sequence[str], figures: dict[str, Any]) -> Finding:
    """Violated if there is any violation, else unknown if there is a reason for it, else holds."""
    counts: Counter[str] = Counter()
    kept = []
    for violation in violations:
        counts[violation.name] += 1
        if counts[violation.name] <= KEPT:
            kept.append(violation)
    verdict = Verdict.VIOLATED if kept else Verdict.UNKNOWN if reasons else Verdict.HOLDS
    figures = {**figures, "violations": dict(counts)}
    return Finding(verdict=verdict, violations=tuple(kept), reasons=tuple(reasons), figures=figures)


def nothing_to_judge(reason: str) -> Finding:
    return Finding(verdict=Verdict.NOT_APPLICABLE, reasons=(reason,))
