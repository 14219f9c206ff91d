"""`wdm check` and `wdm replay` as a person, or a pipeline, calls them."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from harness.explore.failpoints import failpoints
from protocols.registry import load
from wdm import ui
from wdm.cli import main

FOUND = ["check", "--ablate", "force-commit"]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ui.Output, "quiet", False)
    for name in ("WDM_PROTOCOL", "WDM_CONFIG", "WDM_DEBUG", "WDM_CRASHES", "WDM_STATES"):
        monkeypatch.delenv(name, raising=False)


def kept() -> Path:
    """The one counterexample that was kept."""
    (file,) = Path("wdm-runs").glob("*/counterexample.json")
    return file


def altered(**changes: Any) -> None:
    document = json.loads(kept().read_text())
    kept().write_text(json.dumps({**document, **changes}))


def test_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--transactions", "1", "--crashes", "1"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["case", "verdict", "states", "depth", "seconds"]
    alone = ["one checkout", "one checkout without credit"]
    assert [line.split("  ")[0] for line in lines[1:5]] == [*alone, *(f"{case}, two instances" for case in alone)]
    assert lines[-1] == "verdict: holds: every reachable state was seen"
    assert err.splitlines()[0] == "2pc: 8 cases, 2 participants, crashes: 1"
    assert err.splitlines()[-1].startswith("next: ")
    assert not Path("wdm-runs").exists()


@pytest.mark.slow
def test_with_no_flags_it_puts_two_phase_commit_through_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert out.count("holds") == 12
    assert "two orders for one item and one user" in out


def test_a_violation_is_reported_and_kept_and_walked_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(FOUND) == 1
    out, err = capsys.readouterr()
    text = out[out.index("violated in") : out.rindex("\nverdict: ")]
    assert text.startswith(
        "violated in 'one checkout': false acknowledgement: client 0 received an acknowledgement of order o, which is not paid\n"
    )
    assert " 5. order: receives Vote(order~1.0, payment/0, -)\n" in text
    assert "      CRASH order:after-reply:committed\n" in text
    assert out.splitlines()[-1] == "verdict: violated: false acknowledgement"
    folder = kept().parent
    assert folder.name.endswith("-check-2pc")
    assert f"next: `wdm replay {folder}` repeats it" in err
    assert (folder / "counterexample.txt").read_text() == text
    for again in (["replay"], ["replay", str(folder)], ["replay", folder.name], ["replay", "check-2pc"]):
        assert main(again) == 1
        assert capsys.readouterr().out == text


def test_its_crash_can_be_re_enacted_on_real_processes(capsys: pytest.CaptureFixture[str]) -> None:
    main([*FOUND, "--option", "locks=no-wait"])
    (line,) = (
        line for line in capsys.readouterr().out.splitlines() if line.startswith("its crash on real processes: ")
    )
    command = shlex.split(line.split(": ", 1)[1])
    flags = ["--protocol", "2pc", "--option", "locks=no-wait", "--ablate", "force-commit", "--crash-at"]
    assert command[:-1] == ["wdm", "chaos", "--runtime", "local", *flags]
    protocol = load("2pc")
    assert command[-1] in failpoints(protocol, protocol.configure({"locks": "no-wait"}, ("force-commit",)))


def test_where_nothing_crashes_nothing_is_re_enacted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--protocol", "unprotected"]) == 1
    assert "on real processes" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (["--states", "50"], "the search gave up at 50 states"),
        (["--depth", "5"], "the search gave up at 5 steps deep"),
        (["--seconds", "0.1", "--participants", "5"], "the search gave up at 0.1 seconds"),
    ],
)
def test_a_limit_makes_it_unknown(capsys: pytest.CaptureFixture[str], limit: list[str], text: str) -> None:
    assert main(["check", "--transactions", "1", *limit]) == 3
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == f"verdict: unknown: {text}; until there nothing was violated"
    assert "holds" not in out


def test_with_little_room_the_way_may_be_longer_than_it_has_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--ablate", "fence-inquiry", "--states", "200"]) == 1
    assert "a path (perhaps not the shortest) has 13 steps:" in capsys.readouterr().out
    assert main(["check", "--ablate", "fence-inquiry"]) == 1
    assert "the shortest path has 12 steps:" in capsys.readouterr().out


def test_a_depth_that_is_deep_enough_is_no_limit() -> None:
    assert main(["check", "--transactions", "1", "--crashes", "0", "--depth", "30"]) == 0


def test_one_document_for_a_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FOUND, "--json"]) == 1
    output = json.loads(capsys.readouterr().out)
    assert (output["verdict"], output["exit"], output["ablate"], output["participants"]) == (
        "violated",
        1,
        ["force-commit"],
        2,
    )
    assert [(case["case"], case["verdict"]) for case in output["cases"]] == [("one checkout", "violated")]
    violation = output["violation"]
    assert (len(violation["steps"]), violation["shortest"]) == (5, True)
    assert violation["steps"][-1]["crashed"] == "order:after-reply:committed"
    assert violation["folder"] == str(kept().parent)
    assert main([*output["command"].split()[1:], "--json"]) == 1
    again = json.loads(capsys.readouterr().out)
    assert again["violation"]["steps"] == violation["steps"]


def test_the_flags_stand_in_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--option", "locks=no-wait", "--ablate", "guard", "--participants", "1", "--transactions", "1"]
    flags += ["--crashes", "0", "--depth", "30", "--states", "5000", "--seconds", "60.0"]
    assert main(["check", "--json", *flags]) == 1
    assert json.loads(capsys.readouterr().out)["command"] == shlex.join(["wdm", "check", "--protocol", "2pc", *flags])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["check", "--protocol", "3pc"], "unknown protocol '3pc'; installed: "),
        (["check", "--ablate", "luck"], "2pc has no safeguard 'luck'; it has: unanimous"),
        (["check", "--option", "locks"], "--option takes NAME=VALUE, not 'locks'"),
        (["check", "--option", "locks=free"], "locks='free' is not one of: wait-die"),
        (["check", "--participants", "0"], "Invalid value for '--participants'"),
        (["check", "--participants", "10"], "10 is not in the range 1<=x<=9"),
        (["check", "--crashes", "-1"], "Invalid value for '--crashes'"),
        (["check", "--transactions", "0"], "Invalid value for '--transactions'"),
        (["check", "--depth", "0"], "Invalid value for '--depth'"),
        (["check", "--states", "none"], "'none' is not a whole number; give one from 1"),
        (["check", "--seconds", "0"], "Invalid value for '--seconds'"),
        (["replay"], "no run that can be replayed in wdm-runs"),
        (["replay", "yesterday"], "no run that can be replayed is called 'yesterday'"),
    ],
)
def test_mistakes_of_the_caller(capsys: pytest.CaptureFixture[str], arguments: list[str], text: str) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, text in err, len(err.splitlines())) == ("", True, 1)
    assert not Path("wdm-runs").exists()


def test_what_cannot_be_walked_any_more_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", *FOUND]) == 1
    whole = kept().read_text()
    steps = json.loads(whole)["steps"]
    for changes, text in (
        ({"wdm": "0.0.1"}, "found by wdm 0.0.1, and this is wdm "),
        ({"case": "three checkouts"}, "there is no case 'three checkouts' any more"),
        (
            {"steps": [steps[0], steps[2], *steps[1:]]},
            "step 2 (deliver order Vote(order~1.0, stock/0, -)) is not possible",
        ),
        ({"steps": steps[:-1]}, "all 4 steps are possible, and no violation remains"),
        ({"ablate": []}, "step 5 (deliver order Vote(order~1.0, payment/0, -)) is not possible"),
        ({"surprise": 1}, "counterexample.json: it is damaged"),
    ):
        capsys.readouterr()
        altered(**changes)
        assert main(["replay"]) == 3
        out, err = capsys.readouterr()
        assert out == ""
        assert text in err
        kept().write_text(whole)
    kept().write_text(whole[:-40])
    assert main(["replay"]) == 3


def test_a_protocol_that_is_gone_is_a_mistake_of_the_caller(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", *FOUND]) == 1
    altered(ablate=["luck"])
    assert main(["replay"]) == 2
    assert "2pc has no safeguard 'luck'" in capsys.readouterr().err
