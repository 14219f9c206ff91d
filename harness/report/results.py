"""The report as one JSON document."""

from pathlib import Path
from typing import Any

import msgspec

from harness import formats
from harness.checkers import Judgement, impact
from harness.history import History
from harness.metrics.measure import measure
from harness.report.text import headline

KIND = "run"


def render(history: History, judgement: Judgement, digest: str = "") -> dict[str, Any]:
    """Return the document: the verdict with its reasons, the configuration, the figures and the result of every checker.

    `digest` is that of the execution of a run that can be replayed.
    """
    header = history.header
    document = {
        "format": formats.RESULTS,
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


def read(file: Path) -> dict[str, Any]:
    """Read a `results.json`, and check the keys of its summary. Raises `formats.Unreadable`."""
    way_out = "`wdm report` judges the histories again"
    document = formats.document(file, formats.RESULTS_READABLE, way_out)
    if document.get("verdict") not in ("holds", "violated", "unknown"):
        raise formats.damaged(file, ValueError(f"its verdict is {document.get('verdict')!r}"), way_out)
    for name, types in _TYPES.items():
        if not isinstance(document.get(name), types):
            raise formats.damaged(file, ValueError(f"its {name} is {document.get(name)!r}"), way_out)
    return document


_TYPES = {name: (str, type(None)) for name in ("scenario", "protocol", "trace")} | {"seed": (int, str, type(None))}
"""A document of a bench has none of the first three."""
