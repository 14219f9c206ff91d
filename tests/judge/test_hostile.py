"""Addresses without a shop: no traceback, no sale, a reason on the first line, and the exit code of the verdict."""

import json
from pathlib import Path

import pytest

from tests.judge import hostile
from tests.judge.examined import judge

BUDGET_S = 10

VERDICTS = {
    "error-pages": ("unknown", 3, "502"),
    "hangs": ("unknown", 3, "no answer"),
    "closes": ("unknown", 3, "no answer"),
    "no-http": ("unknown", 3, "no answer"),
    "random-json": ("violated", 1, "malformed answer"),
    "endless": ("violated", 1, "malformed answer"),
}
"""Verdict, exit code, and a part of the reason for each kind of server."""


@pytest.mark.slow  # quick are one part with one answer, below, and error pages in `test_command.py`
@pytest.mark.parametrize("kind", VERDICTS)
async def test_a_server_that_is_no_shop_has_a_verdict_with_its_reason(kind: str, tmp_path: Path) -> None:
    async with hostile.server(kind) as url:
        examined = await judge(tmp_path, url, budget_s=BUDGET_S)
    verdict, code, reason = VERDICTS[kind]
    document = examined.document
    assert (document["verdict"], examined.code) == (verdict, code)
    assert reason in document["headline"]
    assert document["sales"] == 0
    assert document["took_s"] <= BUDGET_S
    assert all(examined.standing(part) == "not examined" for part in ("contract", "consistency", "kill", "load"))


async def test_a_server_with_one_answer_for_all_has_no_grade_but_failed(tmp_path: Path) -> None:
    async with hostile.server("one-id") as url:
        examined = await judge(tmp_path, url, "--part", "contract", budget_s=BUDGET_S)
    assert examined.code == 1
    assert examined.standing("contract") == "failed"
    json.dumps(examined.document)


@pytest.mark.slow
async def test_a_closed_port_is_no_shop(tmp_path: Path) -> None:
    examined = await judge(tmp_path, "http://127.0.0.1:1", budget_s=BUDGET_S)
    assert (examined.document["verdict"], examined.code) == ("unknown", 3)
    assert "refused" in examined.document["headline"] or "Cannot connect" in examined.document["headline"]
