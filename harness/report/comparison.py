"""A bench as one document: a row a case, the thresholds, and the verdict of all."""

from collections import Counter
from typing import Any

import msgspec

from harness import formats
from harness.checkers import Verdict
from harness.metrics import thresholds
from harness.metrics.aggregate import merged, spread, worst
from harness.report.runs import BenchResults, Run, claims_of

KIND = "bench"


def render(rows: BenchResults) -> dict[str, Any]:
    """Plain values only; `results.schema.json` says which."""
    manifest = rows.manifest
    found = [
        _row(name, manifest.cases.get(name, {}), runs, manifest.rounds) for name, runs in rows.runs.items() if runs
    ]
    asked = tuple(thresholds.parse(text) for text in manifest.thresholds)
    reasons = [f"not everything was run: {manifest.trouble or 'it was cut short'}"] if not manifest.complete else []
    reasons += rows.damaged
    verdict = worst([row["verdict"] for row in found])
    if reasons and verdict == Verdict.HOLDS:
        verdict = str(Verdict.UNKNOWN)
    return {
        "format": formats.RESULTS,
        "kind": KIND,
        "wdm": manifest.wdm,
        "verdict": verdict,
        "reasons": reasons,
        "complete": manifest.complete and not rows.damaged,
        "command": manifest.command,
        "seed": manifest.seed,
        "rounds": manifest.rounds,
        "duration_s": manifest.duration_s,
        "runtime": manifest.runtime,
        "durability": manifest.durability,
        "machine": manifest.machine,
        "thresholds": thresholds.judge(asked, found),
        "rows": found,
    }


def _row(name: str, settings: dict[str, Any], runs: list[Run], rounds: int) -> dict[str, Any]:
    measured = [run.measured for run in runs]
    judgements = [run.judgement for run in runs]
    violations: Counter[str] = Counter()
    allowed: Counter[str] = Counter()
    for judgement in judgements:
        for result in judgement.results:
            counts = result.finding.figures.get("violations") or {}
            broken = {each.name for each in result.violated}
            violations.update({each: count for each, count in counts.items() if each in broken})
            allowed.update({each: count for each, count in counts.items() if each not in broken})
    checkers = [result.checker for result in judgements[0].results]
    return {
        "name": name,
        **settings,
        "rounds": len(runs),
        "rounds_wanted": rounds,
        "verdict": worst([judgement.verdict for judgement in judgements]),
        "reasons": [reason for judgement in judgements for reason in judgement.reasons],
        "not_judged": [*dict.fromkeys(claim for judgement in judgements for claim in judgement.not_judged)],
        "claims": claims_of(runs[0]),
        "standings": {checker: _standing(runs, checker) for checker in checkers},
        "violations": dict(violations),
        "allowed": dict(allowed),
        "measured": msgspec.to_builtins(merged(measured)),
        "spread": spread(measured),
        "runs": [run.name for run in runs],
    }


def _standing(runs: list[Run], checker: str) -> str:
    """The worst of all rounds."""
    order = ("claimed-and-violated", "unknown", "not-claimed-and-seen", "claimed-and-held", "not-applicable")
    seen = {result.standing for run in runs for result in run.judgement.results if result.checker == checker}
    return next(each for each in order if each in seen)
