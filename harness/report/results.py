"""The report as one JSON document."""

from typing import Any

import msgspec

from harness.bench.measure import measure
from harness.checkers import Judgement, impact
from harness.history import History
from harness.report.text import headline

FORMAT = 2
"""Of `results.json`: raised whenever a reader of the former format would misunderstand it, or keys are new."""

READABLE = frozenset({1, 2})
"""Of these formats `wdm runs` can show a line. Format 1 has no `not_judged`."""

KIND = "run"


def render(history: History, judgement: Judgement, digest: str = "") -> dict[str, Any]:
    """Plain values only: the verdict, why, what was run, and every checker's result; `digest` of a run that can be replayed."""
    header = history.header
    document = {
        "format": FORMAT,
        "kind": KIND,
        "wdm": header.config.get("wdm", ""),
        "verdict": judgement.verdict,
        "reasons": judgement.reasons,
        "not_judged": list(judgement.not_judged),
        "headline": headline(history, judgement),
        "protocol": header.protocol,
        "scenario": header.scenario,
        "workload": header.workload,
        "runtime": header.runtime,
        "durability": header.durability,
        "seed": header.seed,
        "claims": header.claims,
        "config": header.config,
        "complete": history.complete,
        "trace": digest,
        "faults": impact.figures(history),
        "not_injected": [event.data for event in history.of_kind("fault-refused")],
        "usage": [node for event in history.of_kind("usage") for node in event.data["nodes"]],
        "measured": history.derive(measure),
        "results": judgement.results,
    }
    plain: dict[str, Any] = msgspec.to_builtins(document)
    return plain
