"""Every file that a run, a bench or a search leaves has a format number, and whoever reads it looks at that first."""

import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from harness import formats
from harness.bench.cases import BenchCase, Candidate
from harness.bench.execute import case_settings
from harness.chaos.replay import OtherVersion, load_plan
from harness.report.server.catalog import RunCatalog
from harness.run.bench_manifest import BenchFolder, BenchManifest, BenchRun
from harness.run.counterexample import Counterexample
from harness.run.folder import toml
from harness.run.plan import Plan
from harness.toml_file import TomlFile
from protocols.errors import UsageError
from tests.running import conduct
from wdm.cli import main
from wdm.testing.contract import scenario_of

RUN, BENCH, CHECK = "20260101-000000-2pc-7", "20260101-000001-bench-7", "20260101-000002-check-2pc"
NO_DOCUMENTS = (
    b"",
    b"\n",
    b"{",
    b"[]",
    b"null",
    b"3",
    b'"text"',
    b"\xff\xfe",
    b'{"format": "\xff"}',
    b"[" * 100_000,
    b"{}",
)
OTHER_FORMATS = (99, 0, -1, "1", 1.0, True, None, [], {})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, a bench of one run and a counterexample."""
    runs = tmp_path_factory.mktemp("made")
    plan = Plan(scenario_of("retry", 2.0), "2pc", 7, named="retry", runtime="sim", schedule=())
    run = conduct(plan, runs).folder.path
    bench = BenchFolder(runs / BENCH)
    shutil.copytree(run, bench.runs / "one")
    case = BenchCase(Candidate("2pc"))
    bench.save(
        BenchManifest(
            wdm="0", command="wdm bench", seed=7, rounds=1, duration_s=2.0, runtime="local", durability="everysec",
            machine={"cpus": 2, "system": "x", "python": "3", "load_before": 0.0}, thresholds=["p99_ms > 50"],
            cases={case.name: case_settings(case)}, runs=[BenchRun(case=case.name, round=1, folder="one")], complete=True,
        )
    )  # fmt: skip
    assert main(["--quiet", "check", "--ablate", "unanimous", "--runs-dir", str(runs)]) == 1
    run.rename(runs / RUN)
    next(runs.glob("*-check-2pc")).rename(runs / CHECK)
    (runs / "latest").unlink(missing_ok=True)
    return runs


@pytest.fixture
def runs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path / "wdm-runs", symlinks=True)
    return Path("wdm-runs")


@pytest.fixture(autouse=True)
def _quiet(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()


def result_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["--quiet", *arguments])
    out, err = capsys.readouterr()
    assert "unexpected" not in err
    return code, out, err


def verdict(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """As `wdm runs` and `wdm serve` list it."""
    code, out, _ = result_of(capsys, "runs", "--json")
    (line,) = (str(row["verdict"]) for row in json.loads(out) if row["run"] == name)
    assert (code, [row["verdict"] for row in RunCatalog(Path("wdm-runs")).list() if row["run"] == name]) == (0, [line])
    return line


def damages(file: Path) -> list[bytes]:
    """What else a JSON file may contain: no document, half of one, one of another format."""
    whole = file.read_bytes()
    document = json.loads(whole)
    others = [json.dumps({**document, "format": found}).encode() for found in OTHER_FORMATS]
    return [*NO_DOCUMENTS, whole[: len(whole) // 2], *others, json.dumps(document["format"]).encode()]


def test_what_is_written_has_the_number_that_is_read(runs: Path) -> None:
    def found(name: str, file: str) -> object:
        return json.loads((runs / name / file).read_text())["format"]

    assert TomlFile(runs / RUN / "run.toml", "x").document["format"] == formats.RUN_RECORD
    assert found(RUN, "results.json") == formats.RESULTS
    assert found(BENCH, "bench.json") == formats.BENCH_RECORD
    assert found(CHECK, "counterexample.json") == formats.COUNTEREXAMPLE


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(formats.Unreadable, match=r"it cannot be read \(Is a directory\); the way out$"):
        formats.document(tmp_path, (1,), "the way out")


def test_undamaged_files_are_shown(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert result_of(capsys, "report", RUN)[0] == 0
    assert result_of(capsys, "report", BENCH)[0] == 0
    assert result_of(capsys, "report", CHECK)[0] == 0
    assert result_of(capsys, "replay", CHECK)[0] == 1
    assert [verdict(name, capsys) for name in (RUN, CHECK)] == ["holds", "violated"]


def test_a_report_is_made_from_the_history_and_not_from_what_lies_beside_it(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = runs / RUN
    whole = result_of(capsys, "report", RUN)[1]
    page = (folder / "report.html").read_text()
    for name in ("report.txt", "report.html", "results.json", "summary.md", "junit.xml"):
        (folder / name).write_text("verdict: perfect\n")
    assert result_of(capsys, "report", RUN)[:2] == (0, whole)
    assert (folder / "report.html").read_text() == page
    (folder / "history.ndjson").write_bytes(b"")
    code, out, err = result_of(capsys, "report", RUN)
    assert (code, out) == (3, "")
    assert "not a wdm history" in err


def test_the_report_of_a_counterexample_is_made_from_its_steps(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = result_of(capsys, "report", CHECK)[1]
    assert whole == (runs / CHECK / "counterexample.txt").read_text()
    (runs / CHECK / "counterexample.txt").write_text("nothing is wrong\n")
    assert result_of(capsys, "report", CHECK)[:2] == (0, whole)


def test_results_that_cannot_be_read_are_not_believed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (RUN, BENCH):
        file = runs / name / "results.json"
        result_of(capsys, "report", name)
        for damaged in damages(file):
            file.write_bytes(damaged)
            assert re.match(r"unreadable: results.json: it .*; `wdm report` judges", verdict(name, capsys)), damaged
            assert RunCatalog(runs).page(runs / name) is not None
    assert result_of(capsys, "report", BENCH)[0] == 0  # from the histories, and makes it anew
    assert verdict(BENCH, capsys) == "holds"


def test_wrong_types_in_results_are_not_believed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = runs / RUN / "results.json"
    whole = json.loads(file.read_text())
    for key in ("verdict", "scenario", "protocol", "seed", "trace"):
        for value in ({}, [], 1.5, "" if key == "verdict" else {"a": 1}):
            file.write_text(json.dumps({**whole, key: value}))
            assert verdict(RUN, capsys).startswith(f"unreadable: results.json: it is damaged (its {key} is ")


def test_a_replay_does_not_compare_with_results_that_cannot_be_read(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / RUN / "results.json").write_text("[]")
    code, _, err = result_of(capsys, "replay", RUN)
    assert code == 0
    assert "the execution of the run is unknown" in err


@pytest.mark.parametrize(("name", "file"), [(BENCH, "bench.json"), (CHECK, "counterexample.json")])
def test_a_record_that_cannot_be_read_is_named_with_the_way_out(
    name: str, file: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result_of(capsys, "report", name)  # a bench without results is taken for one that goes on
    for damaged in damages(runs / name / file):
        (runs / name / "report.html").unlink(missing_ok=True)
        (runs / name / file).write_bytes(damaged)
        for command in ("report", "replay") if name == CHECK else ("report",):
            code, out, err = result_of(capsys, command, name)
            assert (code, out) == (3, ""), damaged
            assert re.search(rf"{file}: it .*; `wdm .* anew", err), err
        assert verdict(name, capsys).startswith(f"unreadable: {file}: it ")
        with pytest.raises(formats.Unreadable):
            RunCatalog(runs).page(runs / name)


@pytest.mark.parametrize(
    ("name", "file", "kind"), [(BENCH, "bench.json", BenchManifest), (CHECK, "counterexample.json", Counterexample)]
)
def test_wrong_types_in_a_record_are_named(
    name: str, file: str, kind: type[msgspec.Struct], runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = json.loads((runs / name / file).read_text())
    for key in set(kind.__struct_fields__) - {"format"}:
        (runs / name / file).write_text(json.dumps({**whole, key: {"a": [1.5]} if key != "machine" else 3}))
        code, out, err = result_of(capsys, "report", name)
        assert (code, out) == (3, ""), key
        assert f"{file}: it is damaged" in err


def test_a_bench_reads_no_history_of_elsewhere(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = runs / BENCH / "bench.json"
    for elsewhere in (f"../../{RUN}", "", "a/b", "/etc"):
        whole = json.loads(file.read_text())
        whole["runs"][0]["folder"] = elsewhere
        file.write_text(json.dumps(whole))
        assert result_of(capsys, "report", BENCH)[0] == 3


def test_the_record_of_a_run_is_read_as_its_format_or_not_at_all(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = runs / RUN / "run.toml"
    whole, document = file.read_text(), TomlFile(file, "x").document
    assert load_plan(runs / RUN).seed == 7
    for found in (99, 0, "1", 1.0, True, [1]):
        file.write_text(toml({**document, "format": found}))
        code, out, err = result_of(capsys, "replay", RUN)
        assert (code, out) == (3, "")
        assert "run.toml: it has format" in err
        assert "`wdm check-history` judges" in err
    for damaged in ("", "\n", "[run]", "run = 3", whole[: len(whole) // 2], whole[:-20], "seed = "):
        file.write_text(damaged)
        code, out, err = result_of(capsys, "replay", RUN)
        assert (code in (2, 3), out) == (True, ""), damaged
        assert "run.toml" in err


def test_wrong_types_in_the_record_of_a_run_are_named(runs: Path) -> None:
    file = runs / RUN / "run.toml"
    document = TomlFile(file, "x").document
    idle = {"command", "claims", "wdm", "python"}
    for key in document.keys() - idle:
        file.write_text(toml({**document, key: [[1.5]] if key != "fault" else 3}))
        with pytest.raises((UsageError, OtherVersion), match=r"run\.toml"):
            load_plan(runs / RUN)
    for table in ("run", "workload"):
        for key in document[table].keys() - idle:
            file.write_text(toml({**document, table: {**document[table], key: [[1.5]]}}))
            with pytest.raises(UsageError, match="not a whole record of a run"):
                load_plan(runs / RUN)
    for row in ({}, {"kind": "crash"}, {"kind": "crash", "target": 3, "at_s": 1, "for_s": 1}, {"kind": [1]}):
        file.write_text(toml({**document, "faults": 1, "fault": [{"x": 1, **row}]}))
        with pytest.raises(UsageError):
            load_plan(runs / RUN)


@pytest.mark.parametrize(
    "change", [b"", b"{}", b"[]", b"null", b"half", b'"version":99', b'"version":"2"', b'"version":true']
)
def test_a_history_of_another_version_or_none_is_judged_by_nobody(
    change: bytes, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = runs / RUN / "history.ndjson"
    whole = file.read_bytes()
    file.write_bytes({b"half": whole[: len(whole) // 2]}.get(change) or whole.replace(b'"version":3', change, 1))
    if b"version" not in change and change != b"half":
        file.write_bytes(change)
    for command in (["check-history", str(file)], ["report", RUN], ["report", RUN, RUN]):
        code, out, err = result_of(capsys, *command)
        assert (code, out) == (3, ""), command
        assert "history.ndjson" in err
