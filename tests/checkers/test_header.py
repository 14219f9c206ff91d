"""A history with an incomplete first line and a correct checksum: the verdict is unknown with a reason, never `holds`."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.checkers.verdict import examine
from harness.history import History, HistoryError, load
from harness.history.format import Checksum, encode
from tests.checkers.history_builder import a_run
from wdm.cli import main

CONFIG = {"workload": {"name": "checkout"}, "must_hold": [], "faults": []}
NEEDED = ("protocol", "claims", "scenario", "workload", "durability", "runtime", "seed")
NAMES = ("protocol", "scenario", "workload", "durability", "runtime")
CLAIMS = ("atomicity", "isolation", "durability")


def whole() -> History:
    history = a_run().history()
    return History(msgspec.structs.replace(history.header, config=CONFIG), history.operations, history.events)


def written(folder: Path, first: dict[str, Any]) -> Path:
    """The file with this first line, sealed as if it had always been like that."""
    history, seal = whole(), Checksum()
    lines = [first, *history.operations, *history.events]
    for line in lines:
        seal.update(encode(line) + b"\n")
    lines.append(seal.footer(len(history.operations), len(history.events), True))
    file = folder / "history.ndjson"
    file.write_bytes(b"".join(encode(line) + b"\n" for line in lines))
    return file


def header() -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(whole().header)
    return found


def test_with_all_of_it_the_history_holds(tmp_path: Path) -> None:
    assert examine(load(written(tmp_path, header()))).verdict == "holds"


@pytest.mark.parametrize("name", NEEDED)
def test_a_part_that_is_missing_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, {key: value for key, value in header().items() if key != name})
    with pytest.raises(HistoryError, match=rf"line 1: .*`{name}`"):
        load(file)
    assert main(["check-history", str(file)]) == 3
    assert "holds" not in capsys.readouterr().out


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    first = header()
    del first["claims"][name]
    with pytest.raises(HistoryError, match=rf"line 1: .*`{name}`"):
        load(written(tmp_path, first))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_empty_is_no_name(name: str, tmp_path: Path) -> None:
    judgement = examine(load(written(tmp_path, header() | {name: " "})))
    assert judgement.verdict == "unknown"
    assert judgement.reasons == (f"the history is ill-formed: the first line has no {name}",)


@pytest.mark.parametrize("lost", [("workload",), ("must_hold",), ("faults",), ("workload", "must_hold", "faults")])
def test_a_configuration_that_is_lost_is_named(lost: tuple[str, ...], tmp_path: Path) -> None:
    first = header()
    for name in lost:
        del first["config"][name]
    judgement = examine(load(written(tmp_path, first)))
    assert judgement.verdict == "unknown"
    assert judgement.reasons[0].startswith(f"the first line of the history lacks {', '.join(lost)}: ")


def test_version_1_had_no_planned_faults(tmp_path: Path) -> None:
    first = header() | {"version": 1}
    del first["config"]["faults"]
    assert examine(load(written(tmp_path, first))).verdict == "holds"


@pytest.mark.parametrize("lost", ["workload", "must_hold"])
def test_version_1_had_the_workload_and_the_requirements(lost: str, tmp_path: Path) -> None:
    first = header() | {"version": 1}
    del first["config"][lost]
    judgement = examine(load(written(tmp_path, first)))
    assert judgement.verdict == "unknown"
    assert judgement.reasons[0].startswith(f"the first line of the history lacks {lost}: ")
