"""The report as one JSON document."""

from typing import Any

import msgspec

from harness.checkers import Judgement
from harness.history import History
from harness.report.text import headline


def render(history: History, judgement: Judgement) -> dict[str, Any]:
    """Plain values only: the verdict, why, what was run, and every checker's result."""
    header = history.header
    document = {
        "verdict": judgement.verdict,
        "reasons": judgement.reasons,
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
        "not_injected": [event.data for event in history.of_kind("fault-refused")],
        "results": judgement.results,
    }
    plain: dict[str, Any] = msgspec.to_builtins(document)
    return plain
