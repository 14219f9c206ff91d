"""The watchdog: it removes nodes with their children, containers and temporary folders of this process if this is killed.

A shell holds the other end of a pipe. The kernel closes the pipe at any end of this process; if an entry is still
guarded then, the shell starts this module, which cleans up (`harness/runtimes/leftovers.py` names the rest where
the shell was killed too).
"""

import atexit
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from harness.runtimes.deployment import control, process, registry
from harness.runtimes.deployment.state import StateFolder
from protocols.backoff import Backoff

TRIES = 5
COMMAND_WITHIN_S = 60
# A container that an engine began to make a moment ago may appear only after the first look.
AGAIN_MS, LONGEST_AGAIN_MS = 500.0, 2_000.0
# The shell counts the guarded entries, so that an ordinary end starts no interpreter.
SHELL = r"""
trap '' INT TERM HUP
lines= count=0
while IFS= read -r line; do
  lines="$lines$line
"
  case $line in +*) count=$((count + 1)) ;; -*) count=$((count - 1)) ;; esac
  [ "$count" -gt 0 ] || lines=
done
[ "$count" -gt 0 ] || exit 0
printf %s "$lines" | "$@"
"""


class Guarded(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment to be ended, by its tag, or with `remove` a folder to be removed, or a `command` to be run."""

    folder: str
    tag: str = ""
    remove: bool = False
    command: tuple[str, ...] = ()


class _Pipe:
    """The pipe of this process, made when it is first needed."""

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def write(self, sign: str, guarded: Guarded) -> None:
        if self._descriptor is None:
            self._descriptor = _start()
            atexit.register(os.close, self._descriptor)
        with suppress(OSError):  # the shell was killed; `wdm down --all` is left
            os.write(self._descriptor, sign.encode() + msgspec.json.encode(guarded) + b"\n")


_PIPE = _Pipe()


def guard(guarded: Guarded) -> None:
    """Have an entry cleaned up if this process is killed before `release`."""
    _PIPE.write("+", guarded)


def release(guarded: Guarded) -> None:
    """Take an entry back, which this process has cleaned up itself."""
    _PIPE.write("-", guarded)


def _start() -> int:
    reading, writing = os.pipe()
    try:
        subprocess.Popen(
            ["/bin/sh", "-c", SHELL, "wdm-watchdog", sys.executable, "-P", "-m", __name__],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        ).returncode = 0  # it outlives this process, and is never waited for
    finally:
        os.close(reading)
    return writing


# ---------------------------------------------------------------- after the death of the process


def outstanding(lines: Iterable[bytes]) -> list[Guarded]:
    """Return the entries that were guarded and not released, the latest first."""
    guarded_entries: list[Guarded] = []
    for line in lines:
        guarded = msgspec.json.decode(line[1:], type=Guarded)
        if line.startswith(b"+"):
            guarded_entries.append(guarded)
        elif guarded in guarded_entries:
            guarded_entries.remove(guarded)
    return guarded_entries[::-1]


def clean_up(guarded: Guarded) -> None:
    """Run the command of one entry; or end its processes and containers, and remove its folder if it is to go."""
    if guarded.command:
        subprocess.run(guarded.command, check=True, timeout=COMMAND_WITHIN_S)
        return
    folder = StateFolder(Path(guarded.folder))
    if guarded.tag:
        process.end(process.tagged(guarded.tag))
        deployment = folder.read()
        if deployment is not None and deployment.tag == guarded.tag:
            _end(folder)
    if guarded.remove:
        shutil.rmtree(folder.path, ignore_errors=True)
        registry.forget(folder.path)


def _end(folder: StateFolder) -> None:
    """End the rest of a deployment, up to `TRIES` times, until nothing is left.

    A new supervisor of this folder ends the loop: containers keep the deployment's name, so it removes the old ones itself.
    """
    backoff = Backoff(AGAIN_MS, LONGEST_AGAIN_MS)
    for _ in range(TRIES):
        if folder.supervisor() is not None or not control.end_leftovers(folder):
            return
        time.sleep(backoff.next_s())


def main() -> int:
    """Clean up the entries of the lines on stdin, each whatever happens to the others. Return 0."""
    for guarded in outstanding(sys.stdin.buffer.read().splitlines()):
        try:
            clean_up(guarded)
        except Exception as error:  # noqa: BLE001  an entry that cannot be cleaned up must not keep the others
            with suppress(OSError), (registry.user_folder() / "watchdog.log").open("a") as log:
                log.write(f"{guarded.folder or guarded.command}: {type(error).__name__}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
