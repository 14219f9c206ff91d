"""The grade sheet: one page for the author of a shop, with the verdict, the worst finding, and a grade for each part."""

from collections.abc import Sequence
from typing import Any

import msgspec

from harness import formats
from harness.judge.busyness import Busyness
from harness.judge.defects import DEFECTS, DefectFinding, by_severity
from harness.judge.examination import Examination
from harness.judge.parts.base import Grade, merged, without_guesses

KIND = "judge"

LINES = {"contract": 60}
"""Lines of a finding on the text sheet, where it has several cases; others have 14."""


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an examination. `took_s` is its duration in seconds; `interrupted`: the user ended it early."""

    name: str
    address: str
    nodes: tuple[str, ...]
    seed: int
    isolation: str
    budget_s: float
    settle_s: float
    took_s: float
    machine: str
    busy: bool
    grades: tuple[Grade, ...]
    interrupted: bool = False

    @property
    def verdict(self) -> str:
        """`violated` with a failed part; else `unknown` with an inconclusive one or without any that passed; else `holds`."""
        standings = [grade.standing for grade in self.grades]
        if "failed" in standings:
            return "violated"
        if self.interrupted or "inconclusive" in standings or "passed" not in standings:
            return "unknown"
        return "holds"

    @property
    def sales(self) -> int:
        """The number of acknowledged checkouts."""
        return sum(grade.sales for grade in self.grades)

    @property
    def findings(self) -> list[DefectFinding]:
        """The findings of all parts, one for each defect, the worst first."""
        return merged([finding for grade in self.grades for finding in grade.findings])

    @property
    def headline(self) -> str:
        """The verdict in one line, with the reason."""
        if [finding.defect for finding in self.findings] == ["contract"]:
            return f"{self.verdict}: {self.findings[0].explanation.splitlines()[0]}"
        if self.findings:
            titles = ", ".join(DEFECTS[finding.defect].title for finding in self.findings[:4])
            more = f" and {len(self.findings) - 4} more" if len(self.findings) > 4 else ""
            return f"{self.verdict}: {titles}{more}"
        reasons = [reason for grade in self.grades if grade.standing == "inconclusive" for reason in grade.reasons]
        if self.interrupted:
            reasons.insert(0, "the examination was interrupted")
        passed = sum(grade.standing == "passed" for grade in self.grades)
        return f"{self.verdict}: {reasons[0]}" if reasons else f"{self.verdict}: {passed} parts passed"


def make(examination: Examination, name: str, grades: Sequence[Grade], took_s: float, *, interrupted: bool) -> Sheet:
    """Return the sheet of an examination."""
    busyness: Busyness = examination.busyness
    return Sheet(
        name=name,
        address=examination.shop.address,
        nodes=examination.shop.nodes,
        seed=examination.seed,
        isolation=examination.isolation,
        budget_s=examination.limits.budget_s,
        settle_s=examination.limits.settle_s,
        took_s=round(took_s, 1),
        machine=busyness.describe(),
        busy=busyness.is_busy,
        grades=tuple(without_guesses(grades)),
        interrupted=interrupted,
    )


def document(sheet: Sheet, version: str) -> dict[str, Any]:
    """Return the sheet as the document of `results.json`."""
    plain: dict[str, Any] = msgspec.to_builtins(sheet)
    grades = [
        {**grade, "findings": [_finding(finding) for finding in part.findings]}
        for grade, part in zip(plain.pop("grades"), sheet.grades, strict=True)
    ]
    return {
        "format": formats.RESULTS,
        "kind": KIND,
        "wdm": version,
        "verdict": sheet.verdict,
        "reasons": [reason for grade in sheet.grades if grade.standing == "inconclusive" for reason in grade.reasons],
        "headline": sheet.headline,
        "sales": sheet.sales,
        "scenario": None,
        "protocol": None,
        "trace": None,
        **plain,
        "parts": grades,
    }


def _finding(finding: DefectFinding) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(finding)
    defect = DEFECTS[finding.defect]
    return {**plain, "severity": str(defect.severity), "title": defect.title, "advice": defect.advice}


def text(sheet: Sheet) -> str:
    """Return the sheet as text of one page."""
    lines = [
        sheet.headline,
        "",
        f"shop   {sheet.address}",
        f"nodes  {', '.join(sheet.nodes) or 'none given: nothing was killed'}",
    ]
    lines.append(f"sales  {sheet.sales} checkouts were acknowledged")
    lines += [f"time   {sheet.took_s:g} s of {sheet.budget_s:g} s; {sheet.machine}", ""]
    width = max((len(grade.part) for grade in sheet.grades), default=0)
    for grade in sheet.grades:
        lines.append(f"{grade.part.ljust(width)}  {grade.standing}{_short(grade)}")
    findings = by_severity(sheet.findings)
    if findings:
        lines += ["", "Look at this first:" if len(findings) == 1 else "Look at these first, the worst on top:"]
    for number, finding in enumerate(findings, 1):
        lines += ["", *_lines(number, finding)]
    figures = [(grade.part, *figure) for grade in sheet.grades for figure in grade.figures]
    if figures:
        lines += ["", "Figures"]
        lines += [f"  {part.ljust(width)}  {label}: {value}" for part, label, value in figures]
    return "\n".join(lines) + "\n"


def _short(grade: Grade) -> str:
    names = [DEFECTS[finding.defect].title for finding in grade.findings]
    words = names or ([grade.reasons[0]] if grade.reasons and grade.standing != "passed" else [])
    return f": {'; '.join(words)}" if words else ""


def _lines(number: int, finding: DefectFinding) -> list[str]:
    defect = DEFECTS[finding.defect]
    often = f", {finding.times} cases" if finding.times > 1 else ""
    lines = [f"{number}. {defect.title} ({finding.defect}; {defect.severity}{often})", f"   {defect.advice}"]
    if finding.concerns:
        lines.append(f"   concerns: {', '.join(finding.concerns[:8])}")
    lines += [f"   {line}" for line in finding.explanation.splitlines()[: LINES.get(finding.defect, 14)]]
    if finding.history:
        lines.append(f"   all operations: {finding.history}")
    return lines
