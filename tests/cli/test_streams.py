"""Whoever reads what `wdm` prints, and for how long: its exit code stays what it has to say."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.history import FileRecorder, Header, RecordedClaims
from wdm.exits import ENVIRONMENT, OK, UNKNOWN, VIOLATED
from wdm.streams import Outlet

CLAIMS = RecordedClaims(atomicity="atomic", isolation="none", durability="always", recovery_s=1.0)
HEADER = Header(protocol="2pc", claims=CLAIMS, scenario="s", workload="w", durability="always", runtime="local", seed=1)


@pytest.fixture
def violated(tmp_path: Path) -> Path:
    """A history of something left in doubt after the heal."""
    ticks = iter(range(10**9, 10**12, 10**9))
    with FileRecorder(tmp_path / "violated.ndjson", HEADER, lambda: next(ticks)) as recorder:
        recorder.event("healed")
        for _ in range(6):
            recorder.event("probe", in_doubt=1, locks=0, fences=0, open=0)
    return tmp_path / "violated.ndjson"


def pipe_that_nobody_reads() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def wdm(*arguments: object, **streams: Any) -> int:
    try:
        command = [sys.executable, "-m", "wdm", *map(str, arguments)]
        return subprocess.run(command, stdin=subprocess.DEVNULL, timeout=60, check=False, **streams).returncode
    finally:
        for stream in set(streams.values()):
            if stream > 2:
                os.close(stream)


def test_a_closed_pipe_changes_no_exit_code(violated: Path) -> None:
    broken = pipe_that_nobody_reads()
    assert wdm("check-history", violated, stdout=broken, stderr=broken) == VIOLATED


def test_a_closed_stderr_changes_no_exit_code(tmp_path: Path) -> None:
    (tmp_path / "none.ndjson").write_text("{}\n")
    broken = pipe_that_nobody_reads()
    assert wdm("check-history", tmp_path / "none.ndjson", "--json", stdout=broken, stderr=broken) == UNKNOWN


def test_results_that_found_no_room_are_no_success() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    assert wdm("scenarios", stdout=full, stderr=subprocess.DEVNULL) == ENVIRONMENT


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--seed", "1"), ("--seed", "1", "--json"), ("--seeds", "9", "--json")])
def test_a_run_has_its_verdict_without_any_stream(arguments: tuple[str, ...], tmp_path: Path) -> None:
    chaos = ("chaos", "--protocol", "unprotected", "--runtime", "sim", "--runs-dir", tmp_path, *arguments)
    broken = pipe_that_nobody_reads()
    assert wdm(*chaos, stdout=broken, stderr=subprocess.DEVNULL) == VIOLATED
    shell = ["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-m", "wdm", *map(str, chaos)]
    assert subprocess.run(shell, timeout=60, check=False).returncode == VIOLATED


@pytest.mark.slow
def test_help_and_usage_keep_theirs() -> None:
    assert wdm("--help", stdout=pipe_that_nobody_reads(), stderr=subprocess.DEVNULL) == OK
    broken = pipe_that_nobody_reads()
    assert wdm("chaos", "--protocol", "3pc", stdout=broken, stderr=broken) == 2


def test_an_outlet_goes_on_without_its_reader() -> None:
    outlet = Outlet(pipe_that_nobody_reads())
    assert outlet.error is None
    assert outlet.write(b"anybody?") == 8
    assert isinstance(outlet.error, BrokenPipeError)
    assert outlet.write(b"no") == 2
    os.close(outlet.fileno())
