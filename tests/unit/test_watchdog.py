"""The watchdog of a process that makes temporary folders and starts nodes: whatever ends that process, they are removed."""

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from harness.runtimes.deployment import process, registry, temporary, watchdog
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import DeploymentRecord, Record, StateFolder
from harness.runtimes.deployment.watchdog import Guarded, clean_up, outstanding
from tests.cli.test_lifecycle import watchdogs
from tests.runtimes import deployment
from tests.terminal import until

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MAKES = """
import sys
from harness.runtimes.deployment import temporary
for _ in sys.stdin:
    print(temporary.make("watched-"), flush=True)
"""


class Owner:
    """A process in a session of its own, which makes a temporary folder for each line that it reads."""

    def __init__(self) -> None:
        self._running = subprocess.Popen(
            [sys.executable, "-c", MAKES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )

    def make(self) -> Path:
        assert self._running.stdin is not None
        assert self._running.stdout is not None
        self._running.stdin.write("\n")
        return Path(self._running.stdout.readline().strip())

    def watchdog(self) -> process.Identity:
        """Return its shell, once that ignores signals. Right after `exec` a process may have no command line yet."""
        until(lambda: watchdogs(self._running.pid))
        (found,) = watchdogs(self._running.pid)
        status = process.PROC / str(found.pid) / "status"
        until(lambda: all(ignored(status.read_text()) >> number - 1 & 1 for number in SIGNALS))
        return found

    def kill(self) -> None:
        """All processes of its group, as a terminal that is closed does."""
        if self._running.poll() is None:
            os.killpg(self._running.pid, signal.SIGKILL)
            self._running.communicate()


@pytest.fixture
def owner() -> Iterator[Owner]:
    one = Owner()
    yield one
    one.kill()


def ignored(status: str) -> int:
    """The signals that a process ignores, a bit each, as its table in /proc says."""
    return next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigIgn:"))


def test_a_folder_is_removed_with_the_whole_group_of_its_owner(owner: Owner) -> None:
    folder = owner.make()
    assert folder.is_dir()
    owner.kill()
    until(lambda: not folder.exists())


@pytest.mark.parametrize("number", SIGNALS)
def test_a_watchdog_outlives_the_signals_that_end_others(owner: Owner, number: signal.Signals) -> None:
    folder = owner.make()
    assert process.send(owner.watchdog(), number)
    owner.kill()
    until(lambda: not folder.exists())


def test_an_owner_without_a_watchdog_goes_on(owner: Owner) -> None:
    first, shell = owner.make(), owner.watchdog()
    process.send(shell, signal.SIGKILL)
    until(lambda: not process.alive(shell))
    second = owner.make()
    assert first.is_dir()
    assert second.is_dir()
    for folder in (first, second):  # no watchdog is left to remove them, and other tests would find leftovers
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("lines", "passed_on"), [("", None), ("+a\n-a\n", None), ("+a\n", "+a\n"), ("+a\n+b\n-a\n-b\n+c\n", "+c\n")]
)
def test_the_shell_starts_an_interpreter_only_for_guarded_things(
    tmp_path: Path, lines: str, passed_on: str | None
) -> None:
    started = tmp_path / "started"
    subprocess.run(["/bin/sh", "-c", watchdog.SHELL, "x", "tee", started], input=lines, text=True, check=True)
    assert (started.read_text() if started.exists() else None) == passed_on


def test_released_things_are_not_outstanding_and_the_latest_is_first() -> None:
    things = [Guarded(folder=name) for name in "abc"]
    lines = [b"+" + msgspec.json.encode(one) for one in things]
    lines.append(lines[1].replace(b"+", b"-", 1))
    assert outstanding(lines) == [things[2], things[0]]


def test_processes_that_no_record_names_are_ended(tmp_path: Path) -> None:
    """Their owner was killed before it wrote down what it had started."""
    with subprocess.Popen(["sleep", "60"], env={process.TAG: "watched"}) as stray:
        clean_up(Guarded(folder=str(tmp_path), tag="watched"))
        assert stray.wait(5) == -signal.SIGTERM


def test_recorded_processes_are_ended_unless_a_later_deployment_has_the_folder(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    with subprocess.Popen(["sleep", "60"]) as running:
        identity = process.identify(running.pid)
        assert identity is not None
        node = Record(
            name="order-1", kind="service", service="order", url="", port=1, pid=identity.pid, started=identity.started
        )
        record = DeploymentRecord(
            tag="later",
            phase="up",
            supervisor=0,
            gateway="",
            spec=Spec(protocol="2pc"),
            secret="",
            store_urls={},
            nodes=[node],
        )
        folder.write(record)
        clean_up(Guarded(folder=str(tmp_path), tag="former"))
        assert running.poll() is None
        clean_up(Guarded(folder=str(tmp_path), tag="later"))
        assert running.wait(5) == -signal.SIGTERM


async def test_everything_guarded_is_released_once_it_has_ended_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, Guarded]] = []
    monkeypatch.setattr(watchdog._PIPE, "write", lambda sign, one: written.append((sign, one)))
    temporary.remove(temporary.make())
    async with deployment("local", Spec(protocol="2pc")):
        assert [sign for sign, _ in written[:2]] == ["+", "-"]
        assert any(one.tag for _, one in written[2:])
    assert {one for sign, one in written if sign == "+"} == {one for sign, one in written if sign == "-"}
    assert len(written) == 2 * len({one for _, one in written})


def test_one_that_resists_is_logged_and_does_not_keep_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    registry.remember(folder)
    guarded = [Guarded(folder=str(folder), remove=True), Guarded(folder="a\0b", tag="none")]  # the latter goes first
    lines = b"".join(b"+" + msgspec.json.encode(one) + b"\n" for one in guarded)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(lines)))
    assert watchdog.main() == 0
    assert not folder.exists()
    assert folder not in registry.known()
    assert "a\0b: ValueError: " in (registry.user_folder() / "watchdog.log").read_text()
