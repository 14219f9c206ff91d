"""A bench as one document: a row a case, the thresholds, and the verdict on all cases."""

from collections import Counter
from typing import Any

import msgspec

from harness import formats
from harness.checkers import Verdict
from harness.metrics import thresholds
from harness.metrics.aggregate import merged, spread, worst
from harness.report.runs import BenchResults, Run, claims_of

KIND = "bench"


def render(results: BenchResults) -> dict[str, Any]:
    """Return the document of `results.json`, in the format of `results.schema.json`."""
    manifest = results.manifest
    rows = [
        _row(name, manifest.cases.get(name, {}), runs, manifest.rounds) for name, runs in results.runs.items() if runs
    ]
    conditions = tuple(thresholds.parse(text) for text in manifest.thresholds)
    reasons = [f"not everything was run: {manifest.trouble or 'it was cut short'}"] if not manifest.complete else []
    reasons += results.damaged
    verdict = worst([row["verdict"] for row in rows])
    if reasons and verdict == Verdict.HOLDS:
        verdict = str(Verdict.UNKNOWN)
    return {
        "format": formats.RESULTS,
        "kind": KIND,
        "wdm": manifest.wdm,
        "verdict": verdict,
        "reasons": reasons,
        "complete": manifest.complete and not results.damaged,
        "command": manifest.command,
        "seed": manifest.seed,
        "rounds": manifest.rounds,
        "duration_s": manifest.duration_s,
        "runtime": manifest.runtime,
        "durability": manifest.durability,
        "machine": manifest.machine,
        "thresholds": thresholds.judge(conditions, rows),
        "rows": rows,
    }


def _row(case: str, settings: dict[str, Any], runs: list[Run], rounds: int) -> dict[str, Any]:
    measured = [run.measured for run in runs]
    judgements = [run.judgement for run in runs]
    violations: Counter[str] = Counter()
    allowed: Counter[str] = Counter()
    for judgement in judgements:
        for result in judgement.results:
            counts = result.finding.figures.get("violations") or {}
            broken = {violation.name for violation in result.violated}
            violations.update({name: count for name, count in counts.items() if name in broken})
            allowed.update({name: count for name, count in counts.items() if name not in broken})
    checkers = [result.checker for result in judgements[0].results]
    return {
        "name": case,
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
    """Return the worst standing of a checker in all rounds."""
    order = ("claimed-and-violated", "unknown", "not-claimed-and-seen", "claimed-and-held", "not-applicable")
    seen = {result.standing for run in runs for result in run.judgement.results if result.checker == checker}
    return next(standing for standing in order if standing in seen)
