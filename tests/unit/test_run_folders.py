"""The summary of a run folder reads its results only if it can trust them."""

import json
from pathlib import Path

import pytest

from harness.report.run_folders import describe


@pytest.mark.parametrize(
    ("output", "verdict"),
    [
        ({"format": 1, "verdict": "holds"}, "holds"),
        ({"format": 2, "verdict": "violated"}, "violated"),
        ({"format": 99, "verdict": "holds"}, "unreadable: results.json: it has format 99, this wdm reads 1, 2"),
        ({"format": 2, "verdict": "perfect"}, "unreadable: results.json: it is damaged (its verdict is 'perfect')"),
        ({"verdict": "holds"}, "unreadable: results.json: it has no format"),
    ],
)
def test_an_unknown_format_or_verdict_is_not_trusted(tmp_path: Path, output: dict[str, object], verdict: str) -> None:
    (tmp_path / "history.ndjson").touch()
    (tmp_path / "results.json").write_text(json.dumps(output), "utf-8")
    assert str(describe(tmp_path)["verdict"]).startswith(verdict)
