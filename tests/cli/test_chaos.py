"""`wdm chaos` and its kin as a person, or a pipeline, calls them; the shop is in this process."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.runtimes.environment import Environment
from harness.runtimes.local import runtime as local_runtime
from harness.workload.base import Call
from tests.chaos.fakes import Answer, FakeShop, Model
from wdm import ui
from wdm.cli import main

CHAOS = ("chaos", "short.toml", "--runtime", "local")

SHORT = """
summary = "A test"
duration_s = 0.4
must_hold = ["atomicity"]

[workload]
name = "checkout"
users = 8
items = 4
clients = 4

[[fault]]
kind = "crash"
target = "order"
at_s = [0.1, 0.2]
for_s = 0.1
"""


class Shops:
    """The local runtime of `wdm chaos`, in memory; `forgetful` are the runs whose shop does not charge."""

    def __init__(self) -> None:
        self.made: list[FakeShop] = []
        self.forgetful: tuple[int, ...] = ()
        self.answer: Any = None
        self.fails = ""

    def __call__(self, *_: Any) -> Environment:
        model = Model(forgets=len(self.made) in self.forgetful)
        shop = FakeShop(self.answer or model.answer, fails=self.fails)
        self.made.append(shop)

        async def list_unfinished() -> list[dict[str, Any]]:
            return []

        return Environment(shop, list_unfinished, Path("nowhere"))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def shops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shops:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ui.Output, "quiet", False)
    for name in ("WDM_PROTOCOL", "WDM_SEED", "WDM_CONFIG", "WDM_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    made = Shops()
    monkeypatch.setattr(local_runtime, "environment", made)
    Path("short.toml").write_text(SHORT)
    return made


def test_a_run_that_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*CHAOS, "--seed", "5"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[0] == "seed 5: short on 2pc, 0.4 s of load"
    assert "crash order is over" in err
    assert "next: `wdm chaos short.toml --protocol 2pc --runtime local --seed 5`" in err
    assert out.splitlines()[:2] == ["short: 2pc on the local runtime, seed 5", "verdict: holds"]
    assert main(["report"]) == 0
    assert capsys.readouterr().out == out
    assert main(["check-history", "wdm-runs/latest"]) == 0
    assert capsys.readouterr().out == out


def test_a_seed_that_was_not_given_is_drawn_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*CHAOS]) == 0
    out, err = capsys.readouterr()
    seed = err.split(":")[0].removeprefix("seed ")
    assert f"seed {seed}" in out
    assert main(["-q", *CHAOS, "--seed", seed]) == 0
    assert capsys.readouterr().err == ""


def test_one_document_for_a_machine(capsys: pytest.CaptureFixture[str], shops: Shops) -> None:
    shops.forgetful = (0,)
    assert main([*CHAOS, "--seed", "5", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"], document["exit"], document["seed"]) == ("violated", 1, 5)
    assert {each["checker"]: each["standing"] for each in document["results"]}["atomicity"] == "claimed-and-violated"
    history = f"{document['folder']}/history.ndjson"
    assert main(["check-history", history, "--json"]) == 1
    elsewhere = json.loads(capsys.readouterr().out)
    assert {**elsewhere, "folder": document["folder"], "exit": 1} == document


def test_many_seeds_a_line_each_and_the_first_failure_at_once(capsys: pytest.CaptureFixture[str], shops: Shops) -> None:
    shops.forgetful = (1, 2)
    assert main([*CHAOS, "--seed", "7", "--seeds", "4"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0].split(":")[:2] for line in lines if line.startswith("seed")] == [
        ["seed 7", " holds, not judged"],
        ["seed 8", " violated"],
        ["seed 9", " violated"],
        ["seed 10", " holds, not judged"],
    ]
    assert "paid-but-not-charged" in lines[1]
    assert lines[2].startswith("first failure: `wdm chaos short.toml --protocol 2pc --runtime local --seed 8`")
    assert len(lines) == 5
    assert main(["runs", "--json"]) == 0
    kept = json.loads(capsys.readouterr().out)
    assert [(run["seed"], run["verdict"]) for run in sorted(kept, key=lambda run: run["seed"])] == [
        (7, "holds"),
        (8, "violated"),
        (9, "violated"),
        (10, "holds"),
    ]


def test_nonsense_is_unknown_and_a_broken_environment_is_its_own_code(
    capsys: pytest.CaptureFixture[str], shops: Shops
) -> None:
    def nonsense(_: Call) -> Answer:
        return 200, b"<html>"

    shops.answer = nonsense
    assert main([*CHAOS, "--seed", "1"]) == 3
    assert "because set-up: create_user() was answered" in capsys.readouterr().out
    shops.fails = "the disk is full"
    assert main([*CHAOS, "--seed", "1"]) == 4
    assert capsys.readouterr().err.splitlines()[-1] == "error: the disk is full"
    assert main([*CHAOS, "--seeds", "3"]) == 4
    assert "seed 1: the disk is full" in capsys.readouterr().err
    assert main(["runs"]) == 0
    assert "unknown" in capsys.readouterr().out


def test_a_history_that_is_not_whole_is_never_judged(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", *CHAOS, "--seed", "5"]) == 0
    whole = Path("wdm-runs/latest/history.ndjson").read_bytes()
    capsys.readouterr()
    for damaged in (
        whole[:-200],
        whole.replace(b'"ok"', b'"no"', 1),
        whole.replace(b'"checkout"', b'"chickout"', 1),
        b"",
    ):
        Path("damaged.ndjson").write_bytes(damaged)
        assert main(["check-history", "damaged.ndjson"]) == 3
        out, err = capsys.readouterr()
        assert "holds" not in out
        assert err.startswith("error: damaged.ndjson")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chaos", "no-such"], "no scenario 'no-such'"),
        ([*CHAOS, "--protocol", "3pc"], "unknown protocol '3pc'; installed: "),
        ([*CHAOS, "--ablate", "luck"], "2pc has no safeguard 'luck'; it has: unanimous"),
        (
            [*CHAOS, "--protocol", "unprotected", "--crash-at", "x"],
            "unprotected has no failpoint 'x'; there are",
        ),
        ([*CHAOS, "--ablate", "escrow-guard"], "would change nothing: it is for --locks escrow"),
        ([*CHAOS, "--protocol", "lua", "--transport", "streams"], "lua sends no messages"),
        (["chaos", "short.toml", "--runtime", "sim", "--transport", "kafka"], "the simulator has no transport 'kafka'"),
        (["chaos", "short.toml", "--runtime", "sim", "--transport", "rabbitmq"], "the simulator has no transport"),
        (
            ["chaos", "broker-failover", "--protocol", "saga"],
            "--brokers 3 is for --transport rabbitmq or kafka, not for http",
        ),
        ([*CHAOS, "--brokers", "2"], "brokers=2 is not 1 or 3"),
        ([*CHAOS, "--option", "locks"], "--option takes NAME=VALUE, not 'locks'"),
        ([*CHAOS, "--option", "locks=free"], "locks='free' is not one of: wait-die"),
        (["chaos", "short.toml", "--runtime", "cloud"], "'cloud' is not"),
        ([*CHAOS, "--seed", "-1"], "Invalid value for '--seed'"),
        ([*CHAOS, "--workers", "0"], "Invalid value for '--workers'"),
        (["report", "yesterday"], "no run is called 'yesterday'"),
        (["check-history", "nowhere.ndjson"], "does not exist"),
    ],
)
def test_mistakes_of_the_caller(
    capsys: pytest.CaptureFixture[str], shops: Shops, arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not shops.made
    assert not Path("wdm-runs").exists()


def test_flags_change_the_scenario_and_stand_in_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--durability", "always", "--workers", "2", "--duration-s", "1.2", "--protocol", "unprotected"]
    flags += ["--crash-at", "stock:before-send:changed"]
    assert main([*CHAOS, "--seed", "1", "--json", *flags]) == 3  # nothing here can be injected
    document = json.loads(capsys.readouterr().out)
    assert (document["durability"], document["config"]["workers"], document["config"]["duration_s"]) == (
        "always",
        2,
        1.2,
    )
    command = document["config"]["command"]
    assert all(flag in command for flag in flags)
    assert main([*command.split()[1:], "--json"]) == 3
    again = json.loads(capsys.readouterr().out)
    assert (again["config"], again["reasons"]) == (document["config"], document["reasons"])
    assert "none of the 1 faults was injected: crash-at needs failpoints" in document["reasons"][0]


def test_the_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 13
    assert any(line.startswith("kill-one-at-a-time  ") for line in lines)
    assert main(["scenarios", "--json"]) == 0
    assert all(one["summary"] for one in json.loads(capsys.readouterr().out))


def test_runs_and_report_without_any_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    assert main(["report"]) == 2
    assert "no run is called 'latest'" in capsys.readouterr().err
