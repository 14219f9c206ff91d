"""`wdm bench`, `wdm report` and `wdm runs` as a person, or a pipeline, calls them: mistakes, damage, and what is said of it."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.bench.cases import atomic
from harness.explore.suite import ModelCheck
from harness.run import scenarios
from harness.run.counterexample import save
from harness.run.plan import Plan, simulated
from tests.running import conduct
from tests.terminal import Terminal, until
from wdm import ui
from wdm.cli import main, wdm
from wdm.commands.bench import plan


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ui.Output, "quiet", False)
    for name in [name for name in os.environ if name.startswith("WDM_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of the simulator."""
    folder = tmp_path_factory.mktemp("kept") / "wdm-runs"
    for seed in (1, 2):
        conduct(Plan(simulated(scenarios.load("store-crash")), "2pc", seed, runtime="sim"), folder)
    return folder


@pytest.fixture
def runs(kept: Path) -> Path:
    """Them, where `wdm` looks for them."""
    for path in kept.iterdir():
        if not path.is_symlink():
            shutil.copytree(path, Path("wdm-runs") / path.name)
    return Path("wdm-runs")


def given(*arguments: str) -> dict[str, object]:
    """What the command line makes of these arguments."""
    command = wdm.get_command(None, "bench")  # type: ignore[arg-type]
    assert command is not None
    context = command.make_context("bench", list(arguments))
    return {name: value for name, value in context.params.items() if name not in {"runs_dir", "as_json", "fail_if"}}


def test_without_flags_every_atomic_protocol_is_compared_as_it_is_and_under_kills() -> None:
    bench = plan(given())
    assert [(case.candidate.protocol, case.scenario) for case in bench.cases] == [
        (name, scenario) for name in atomic() for scenario in ("fault-free", "kill-one-at-a-time")
    ]
    assert len(bench.cases) >= 4
    assert {(case.pace.rate_per_s, case.candidate.transport) for case in bench.cases} == {(100.0, "http")}
    assert (bench.duration_s, bench.rounds, bench.runtime) == (20.0, 1, "local")


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--protocol", "saga", "--transport", "streams", "--clients", "8", "--duration", "7.5"],
        ["--rate", "250", "--arrivals", "fixed", "--rounds", "3", "--sweep", "items=1,5"],
        ["--find-max", "--p99-ms", "20", "--durability", "always", "--skew", "1.1", "--workers", "2"],
        ["--scenario", "fault-free", "--scenario", "store-crash"],
    ],
)
def test_the_command_in_the_report_makes_the_same_bench_again(flags: list[str]) -> None:
    bench = plan(given(*flags))
    again = plan(given(*shlex.split(bench.command)[2:]))
    assert (again.cases, again.seed, again.command) == (bench.cases, bench.seed, bench.command)
    assert again == bench


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "5", "--clients", "5"], "give one of them"),
        (["--find-max", "--rate", "5"], "give neither --rate nor --clients"),
        (["--find-max", "--sweep", "rate=5,6"], "neither give nor sweep --rate"),
        (["--find-max", "--sweep", "clients=5,6"], "neither give nor sweep --clients"),
        (["--clients", "5", "--arrivals", "fixed"], "--arrivals belongs to an open loop"),
        (["--sweep", "clients=5,6", "--arrivals", "poisson"], "--arrivals belongs to an open loop"),
        (["--p99-ms", "20"], "--p99-ms is the limit of --find-max"),
        (["--workers", "2", "--sweep", "workers=1,2"], "--workers and --sweep workers= both set it"),
        (["--rate", "5", "--sweep", "clients=1,2"], "give or sweep one of them"),
        (["--rate", "0"], "Invalid value for '--rate'"),
        (["--duration", "0"], "Invalid value for '--duration'"),
        (["--protocol", "3pc"], "unknown protocol '3pc'"),
        (["--transport", "pigeon"], "'pigeon' is not"),
        (["--scenario", "no-such"], "no scenario 'no-such'"),
        (["--sweep", "colour=red"], "--sweep takes NAME=VALUE,VALUE"),
        (["--sweep", "items=a"], "'a' is not a whole number from 1 to 100"),
        (["--fail-if", "p99 > 5"], "no metric 'p99'"),
        (["--fail-if", "fast"], "--fail-if takes"),
        (["--runtime", "sim"], "'sim' is not"),
    ],
)
def test_mistakes_of_the_caller_are_found_before_anything_starts(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["bench", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.strip().splitlines()) == 1 or "seed" in err
    assert not Path("wdm-runs").exists()


def test_where_nothing_can_be_written_it_is_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    Path("wdm-runs").write_text("a file")
    assert main(["bench", "--protocol", "2pc", "--seed", "1"]) == 4
    assert re.search(r"error: wdm-runs: cannot write the run: .+", capsys.readouterr().err)
    assert main(["bench", "--protocol", "2pc", "--seed", "1", "--runs-dir", "/proc/nowhere"]) == 4
    assert "/proc/nowhere" in capsys.readouterr().err


@pytest.mark.slow
def test_an_interrupted_bench_leaves_a_report_that_says_it_is_partial(terminal: Terminal) -> None:
    command = [sys.executable, "-m", "wdm", "bench", "--protocol", "2pc", "--duration", "60", "--seed", "3"]
    with subprocess.Popen(
        command,
        cwd=terminal.folder,
        env=terminal.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as bench:
        assert bench.stderr is not None
        for line in bench.stderr:
            if line.endswith("  load\n"):
                break
        until(
            lambda: any(
                b'"due_ns"' in path.read_bytes() for path in terminal.folder.glob("wdm-runs/*/runs/*/history.ndjson")
            )
        )
        bench.send_signal(signal.SIGINT)
        out, _ = bench.communicate(timeout=60)
    assert bench.returncode == 130
    assert "verdict: unknown" in out
    assert "because not everything was run: interrupted" in out
    folder = next(terminal.folder.glob("wdm-runs/*-bench-3"))
    document = json.loads((folder / "results.json").read_text())
    assert (document["complete"], document["verdict"], len(document["rows"])) == (False, "unknown", 1)
    assert "This report is partial:" in (folder / "report.html").read_text()
    assert "interrupted" in (folder / "summary.md").read_text()


# ---------------------------------------------------------------- reports of what is damaged, old or empty


def test_a_run_of_an_older_version_is_named_and_nothing_is_said_of_it(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = next(runs.glob("*-2pc-1"))
    (old / "report.txt").unlink()
    history = old / "history.ndjson"
    history.write_bytes(history.read_bytes().replace(b'"version":3', b'"version":0', 1))
    assert main(["report", "2pc-1"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "version 0; this wdm reads versions 1, 2, 3" in err


@pytest.mark.parametrize("content", [b"", b"\n", b"not a history\n"])
def test_an_empty_run_is_named(runs: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    empty = next(runs.glob("*-2pc-2"))
    (empty / "report.txt").unlink()
    (empty / "history.ndjson").write_bytes(content)
    assert main(["report", "2pc-2"]) == 3
    assert "line 1: not a wdm history" in capsys.readouterr().err
    (empty / "results.json").unlink()
    assert main(["runs"]) == 0
    assert re.search(r"2pc-2 +run +none", capsys.readouterr().out)


def test_a_page_that_is_missing_is_made_and_is_the_same_each_time(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = next(runs.glob("*-2pc-1"))
    whole = (run / "report.html").read_text("utf-8")
    (run / "report.html").unlink()
    assert main(["report", "2pc-1"]) == 0
    assert (run / "report.html").read_text("utf-8") == whole
    assert "This report is partial" not in whole
    capsys.readouterr()


def test_a_bench_whose_record_is_damaged_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("wdm-runs/20260101-000000-bench-1")
    folder.mkdir(parents=True)
    (folder / "bench.json").write_text("{")
    assert main(["report", "bench-1"]) == 3
    assert "bench.json: it is damaged" in capsys.readouterr().err
    assert main(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["verdict"].startswith("unreadable: bench.json: it is damaged")


def test_two_runs_are_compared(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "2pc-1", "2pc-2"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split() == ["A", "B", "B", "/", "A"]
    assert re.search(r"^p99_ms +\S+ +\S+ +\d", out, re.MULTILINE)
    page = next(runs.glob("compare-*.html"))
    assert str(page) in err
    text = page.read_text("utf-8")
    assert "A: 2pc, store-crash" in text
    assert "B: 2pc, store-crash" in text
    assert main(["report", "2pc-1", "2pc-2", "2pc-1"]) == 2
    assert "two are compared, not 3" in capsys.readouterr().err


def test_a_counterexample_of_check_has_a_page_and_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    question = ModelCheck("2pc", {}, ("unanimous",))
    found = next(one for one in question.results() if one.violation)
    folder = save(Path("wdm-runs"), question, found)
    assert main(["report", folder.name]) == 0
    assert capsys.readouterr().out == (folder / "counterexample.txt").read_text()
    page = (folder / "report.html").read_text("utf-8")
    assert "2pc without unanimous can break its claims" in page
    assert main(["runs"]) == 0
    assert re.search(r"check-2pc +check +violated", capsys.readouterr().out)


def test_the_page_goes_where_it_is_wanted(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "2pc-1", "--html", "here.html"]) == 0
    assert Path("here.html").read_text("utf-8") == (next(runs.glob("*-2pc-1")) / "report.html").read_text("utf-8")
    assert main(["report", "2pc-1", "--html", "nowhere/here.html"]) == 4
    assert "nowhere/here.html: cannot write the page" in capsys.readouterr().err
