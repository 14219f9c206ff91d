"""`wdm chaos` in the simulator, and `wdm replay`, as a person calls them."""

import json
import secrets
from importlib import import_module
from pathlib import Path

import pytest

from harness.run.plan import Plan
from wdm import ui
from wdm.cli import main

RUN = ["chaos", "participant-crash", "--runtime", "sim", "--protocol"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ui.Output, "quiet", False)
    for name in ("WDM_PROTOCOL", "WDM_SEED", "WDM_RUNTIME", "WDM_CONFIG", "WDM_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
def test_with_nothing_said_it_simulates_and_says_what_is_next(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The seeds are drawn; here always the same ones: this is about the words, campaigns look for what fails.
    monkeypatch.setattr(secrets, "randbelow", lambda _: 1)
    assert main(["chaos"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("50 seeds: 50 holds\n")
    assert "in the simulator" in err
    assert err.splitlines()[-1].startswith("next: `wdm chaos kill-one-at-a-time --protocol 2pc --runtime local`")
    assert not Path("wdm-runs").exists(), "what held leaves nothing behind"


@pytest.mark.parametrize(
    "flags", [[], ["--protocol", "saga"], ["everything"], ["--json"], ["--workers", "2"], ["--duration-s", "3"]]
)
def test_no_flag_but_the_runtime_leaves_the_simulator(flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[tuple[str, int]] = []

    def note(plan: Plan, count: int, *_: object) -> int:
        requests.append((plan.runtime, count))
        return 0

    monkeypatch.setattr(import_module("wdm.commands.chaos"), "seeds_in_the_simulator", note)
    assert main(["chaos", *flags]) == 0
    assert requests == [("sim", 50)]


def test_several_seeds_as_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    command = [*RUN, "2pc", "--seeds", "4", "--seed", "7", "--json"]
    assert main(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(command) == 0
    second = json.loads(capsys.readouterr().out)
    assert list(first["digests"]) == ["7", "8", "9", "10"]
    assert (first["trace"], first["digests"]) == (second["trace"], second["digests"])
    assert first["verdicts"] == {"holds": 4}


def test_a_failing_seed_is_reported_at_once_kept_small_and_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chaos", "--runtime", "sim", "--ablate", "unanimous", "--seeds", "3"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("seed 1: violated")
    assert "`wdm chaos kill-one-at-a-time --protocol 2pc --runtime sim --seed 1 --ablate unanimous`" in out
    assert "without safeguards: unanimous" in out
    assert "next: `wdm replay wdm-runs/" in err
    (kept,) = Path("wdm-runs").glob("2*")
    assert f"again: wdm replay {kept}\n" in (kept / "report.txt").read_text(), "the command names the folder"
    assert main(["replay"]) == 1
    assert "the same execution as before" in capsys.readouterr().err
    assert main(["replay", "wdm-runs/latest", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "violated"


def test_one_seed_is_kept_and_takes_the_same_course_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, "2pc", "--seed", "3"]) == 0
    out, _ = capsys.readouterr()
    assert out.splitlines()[0] == "participant-crash: 2pc on the sim runtime, seed 3"
    assert Path("wdm-runs/latest/trace.txt").read_text().count("\n") > 100
    assert main(["replay", "wdm-runs/latest"]) == 0
    assert "the same execution as before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chaos", "--runtime", "sim", "--ablate", "luck"], "2pc has no safeguard 'luck'"),
        (["chaos", "--runtime", "sim", "--seeds", "0"], "0 is not in the range"),
        (["chaos", "--runtime", "sim", "--protocol", "3pc"], "unknown protocol '3pc'"),
        (["chaos", "--runtime", "sim", "--workers", "0"], "0 is not in the range"),
        (["replay", "17"], "no run that can be replayed is called '17'"),
    ],
)
def test_mistakes_of_the_caller(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_run_of_another_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, "2pc", "--seed", "3"]) == 0
    record = Path("wdm-runs/latest/run.toml")
    record.write_text(record.read_text().replace('wdm = "', 'wdm = "0.0.'))
    capsys.readouterr()
    assert main(["replay", "wdm-runs/latest"]) == 3
    assert "is of wdm 0.0." in capsys.readouterr().err
