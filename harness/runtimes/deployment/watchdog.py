"""Ends what this process has started if this process is killed: nodes and what they started, containers, temporary
folders.

A shell holds the other end of a pipe. However this process ends, the kernel closes the pipe; if something is still
guarded then, the shell starts this module, which cleans up (`harness/runtimes/leftovers.py` names what stays where
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
AGAIN_MS, LONGEST_AGAIN_MS = (
    500.0,
    2_000.0,
)  # what an engine was told to make a moment ago may appear after the first look
# Counts what is guarded, so that an ordinary end starts no interpreter.
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
    """A deployment by its tag, or with `remove` a folder that goes as well."""

    folder: str
    tag: str = ""
    remove: bool = False


class _Line:
    """The pipe of this process, made when it is first needed."""

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def write(self, sign: str, one: Guarded) -> None:
        if self._descriptor is None:
            self._descriptor = _start()
            atexit.register(os.close, self._descriptor)
        with suppress(OSError):  # the shell was killed; `wdm down --all` is left
            os.write(self._descriptor, sign.encode() + msgspec.json.encode(one) + b"\n")


_LINE = _Line()


def guard(one: Guarded) -> None:
    """From now on it is cleaned up if this process is killed."""
    _LINE.write("+", one)


def release(one: Guarded) -> None:
    _LINE.write("-", one)


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
        ).returncode = 0  # it outlives us, and is never waited for
    finally:
        os.close(reading)
    return writing


# ---------------------------------------------------------------- after the death of the process


def outstanding(lines: Iterable[bytes]) -> list[Guarded]:
    """What was guarded and not released, the latest first."""
    found: list[Guarded] = []
    for line in lines:
        one = msgspec.json.decode(line[1:], type=Guarded)
        if line.startswith(b"+"):
            found.append(one)
        elif one in found:
            found.remove(one)
    return found[::-1]


def clean_up(one: Guarded) -> None:
    folder = StateFolder(Path(one.folder))
    if one.tag:
        process.end(process.tagged(one.tag))
        there = folder.read()
        if there is not None and there.tag == one.tag:
            _end(folder)
    if one.remove:
        shutil.rmtree(folder.path, ignore_errors=True)
        registry.forget(folder.path)


def _end(folder: StateFolder) -> None:
    """End what is left, until nothing is: containers keep the deployment's name, so that a new supervisor of this folder
    removes the old ones itself.
    """
    backoff = Backoff(AGAIN_MS, LONGEST_AGAIN_MS)
    for _ in range(TRIES):
        if folder.supervisor() is not None or not control.end_leftovers(folder):
            return
        time.sleep(backoff.next_s())


def main() -> int:
    for one in outstanding(sys.stdin.buffer.read().splitlines()):
        try:
            clean_up(one)
        except Exception as error:  # noqa: BLE001  one that resists must not keep the others
            with suppress(OSError), (registry.user_folder() / "watchdog.log").open("a") as log:
                log.write(f"{one.folder}: {type(error).__name__}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
