"""The documents and folders of examinations: by the published schema, in `wdm runs`, `wdm report` and `wdm serve`."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import msgspec
import pytest

from harness.history import Operation
from harness.judge import conduct, sheet
from harness.judge.batch import BatchRow, ShopBatch
from harness.judge.batch_file import read_batch
from harness.judge.batch_report import LONGEST, document, table, write
from harness.judge.defects import DEFECTS, DefectFinding
from harness.judge.examination import Limits
from harness.judge.parts import PARTS
from harness.judge.parts.base import Grade
from harness.judge.sheet import Sheet
from harness.report.server.app import served
from harness.run.folder import RunFolder
from tests.shops import ROOT
from wdm.cli import main

SCHEMA = json.loads((ROOT / "harness/report/results.schema.json").read_text("utf-8"))


def full_sheet() -> Sheet:
    """A sheet with every standing and every defect."""
    tried = Operation(1, "checkout", ["o"], 5, 9, "fail", {"error": "<no & stock>"}, status=409)
    findings = tuple(
        DefectFinding(
            defect=name, explanation=f"{name} <b>", concerns=("o", "i"), evidence=(tried,), history="x.ndjson"
        )
        for name in DEFECTS
    )
    grades = (
        Grade(part="contract", standing="failed", findings=findings, histories=("x.ndjson",), sales=3),
        Grade(part="load", standing="passed", figures=(("highest rate", "40/s"),)),
        Grade(part="retry", standing="inconclusive", reasons=("the budget was used up",)),
        Grade(part="kill", standing="not examined", reasons=("no node was given",)),
    )
    return Sheet(
        name="mine", address="http://h", nodes=("order",), seed=7, isolation="none", budget_s=20, settle_s=1, took_s=19.5,
        machine="quiet", busy=False, grades=grades,
    )  # fmt: skip


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folders of one examination and of one batch with two shops, of which the second was not started."""
    one = RunFolder.make(tmp_path / "runs", "judge-mine-7")
    conduct.write(full_sheet(), one)
    file = tmp_path / "shops.toml"
    file.write_text('[[shop]]\nname = "mine"\nurl = "http://h"\n[[shop]]\nname = "late"\nurl = "http://i"\n')
    entries = read_batch(file, Limits(), "none", [])
    batch = ShopBatch(entries, RunFolder.make(tmp_path / "runs", "judge-batch-7"), 7)
    for entry, failed in zip(entries, (False, True), strict=True):
        (batch.folder.path / entry.slug).mkdir()
        conduct.write(full_sheet(), RunFolder(batch.folder.path / entry.slug))
        batch.rows.append(BatchRow(entry, full_sheet(), failed_start=failed))
    write(batch)
    return tmp_path / "runs"


def documents(runs: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(runs.glob("2*/results.json"))]


def test_the_documents_fit_the_published_schema(runs: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    found = documents(runs)
    assert {results["kind"] for results in found} == {"judge", "judge-batch"}
    for results in found:
        jsonschema.validate(results, SCHEMA)
        for changed in ({**results, "surprise": 1}, {**results, "verdict": "passed"}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(changed, SCHEMA)
    one = next(results for results in found if results["kind"] == "judge")
    assert one == json.loads(json.dumps(sheet.document(full_sheet(), one["wdm"])))
    assert {finding["defect"] for part in one["parts"] for finding in part["findings"]} == set(DEFECTS)


def test_the_table_of_a_batch_has_a_column_for_each_part(runs: Path) -> None:
    (folder,) = runs.glob("*judge-batch-7")
    header, *rows = (folder / "report.txt").read_text("utf-8").splitlines()
    assert header.split()[2 : 2 + len(PARTS)] == list(PARTS)
    assert [row.split()[0] for row in rows] == ["mine", "late"]
    assert rows[0].split()[1:9] == ["violated", "failed", "-", "inconclusive", "-", "-", "-", "passed"]


def test_a_long_reason_keeps_its_begin_and_its_end_in_the_table(runs: Path, tmp_path: Path) -> None:
    (entry, _) = read_batch(tmp_path / "shops.toml", Limits(), "none", [])
    reason = f"start='{'x' * 200}': exit code 3:\n no such module"
    grades = (Grade(part="start", standing="inconclusive", reasons=(reason,)),)
    batch = ShopBatch([entry], RunFolder(runs), 7)
    batch.rows.append(BatchRow(entry, msgspec.structs.replace(full_sheet(), grades=grades), failed_start=True))
    shown = str(table(batch)[0][-1])
    assert len(shown) <= LONGEST
    assert shown.startswith("start='xxx")
    assert shown.endswith("exit code 3: no such module")
    assert reason in document(batch)["reasons"][0]


def test_runs_and_report_show_examinations(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", "runs", "--json", "--runs-dir", str(runs)]) == 0
    lines = json.loads(capsys.readouterr().out)
    assert sorted((line["kind"], line["verdict"], line["protocol"]) for line in lines) == [
        ("judge", "violated", "mine"),
        ("judge_batch", "violated", None),
    ]
    for name in ("judge-mine-7", "judge-batch-7"):
        (folder,) = runs.glob(f"*{name}")
        assert main(["-q", "report", name, "--runs-dir", str(runs)]) == 0
        assert capsys.readouterr().out == (folder / "report.txt").read_text("utf-8")
    assert main(["-q", "report", "judge-mine-7", "judge-batch-7", "--runs-dir", str(runs)]) == 2
    assert "is a grade sheet of wdm judge, not one run" in capsys.readouterr().err


def named(runs: Path, end: str) -> str:
    """The name of the only folder with this end."""
    (found,) = runs.glob(f"*{end}")
    return found.name


async def test_the_server_shows_a_batch_and_the_sheets_of_its_shops(runs: Path) -> None:
    batch, one = named(runs, "judge-batch-7"), named(runs, "judge-mine-7")
    async with served(runs, 0) as url, aiohttp.ClientSession() as session:
        for path in (f"runs/{one}", f"runs/{batch}", f"runs/{batch}/mine/report.html", f"runs/{batch}/part/late"):
            async with session.get(f"{url}{path}") as answer:
                assert answer.status == 200, path
                assert "Grade sheet" in await answer.text()
                assert path != f"runs/{batch}" or str(answer.url) == f"{url}runs/{batch}/"
        async with session.get(f"{url}runs/{batch}/nobody/report.html") as answer:
            assert answer.status == 404
    (runs / one / "report.html").write_text("of another version")
    async with served(runs, 0) as url, aiohttp.ClientSession() as session, session.get(f"{url}runs/{one}") as answer:
        assert answer.status == 409


def test_another_document_in_a_folder_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("a", '{"kind": "other"}'), ("b", "{"), ("c", "[]"), ("d", '{"kind": 7}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(text)
    assert main(["-q", "runs", "--json", "--runs-dir", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == []
