"""The report as one JSON document."""

from typing import Any

import msgspec

from harness.checkers import Judgement
from harness.history import History
from harness.report.text import headline


def render(history: History, judgement: Judgement, digest: str = "") -> dict[str, Any]:
    """Plain values only: the verdict, why, what was run, and every checker's result; `digest` of a run that can be replayed."""
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
        "trace": digest,
        "not_injected": [event.data for event in history.of_kind("fault-refused")],
        "usage": [node for event in history.of_kind("usage") for node in event.data["nodes"]],
        "results": judgement.results,
    }
    plain: dict[str, Any] = msgspec.to_builtins(document)
    return plain
