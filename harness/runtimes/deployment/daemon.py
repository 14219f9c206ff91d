"""A supervisor in a session of its own: `python -m harness.runtimes.deployment.daemon STATE_DIR`, the spec on stdin.

It answers with one JSON line on stdout, `{}` once everything serves or `{"code", "error"}`; after that its output is
its log. The spec may hold a store's password, so it never goes on a command line.
"""

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from harness.errors import EnvironmentFailure, exhausted
from harness.runtimes.deployment import control, limits
from harness.runtimes.deployment.foreground import run
from harness.runtimes.deployment.process import GRACE_S
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.deployment.supervisor import Supervisor
from protocols.errors import UsageError


class LaunchResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    code: int = 0
    error: str = ""


def launch(spec: Spec, folder: StateFolder) -> control.DeploymentView:
    """Start a detached supervisor and return once everything serves. Raises what the supervisor raised."""
    spec.check()
    limits.check(spec)
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.logs.mkdir(exist_ok=True)
    with (folder.logs / "supervisor.log").open("ab") as log:
        try:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "harness.runtimes.deployment.daemon", str(folder.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            why = exhausted(error, starts=True) or error.strerror
            raise EnvironmentFailure(f"the supervisor cannot be started: {why}") from error
    try:
        told = _ask(child, msgspec.json.encode(spec))
    except BaseException:
        child.terminate()
        child.wait(GRACE_S * 4)
        raise
    _raise(told, folder)
    found = control.view(folder)
    if found is None:
        raise EnvironmentFailure(f"the deployment ended at once; see {folder.logs / 'supervisor.log'}")
    # It goes on without us; that it is never waited for is meant.
    child.returncode = 0
    return found


def _ask(child: subprocess.Popen[bytes], question: bytes) -> bytes:
    """What it says until it closes its end; `communicate` would also wait for the process to end."""
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdout, suppress(BrokenPipeError):
        with child.stdin:
            child.stdin.write(question)
        return child.stdout.read()
    return b""


def _raise(told: bytes, folder: StateFolder) -> None:
    try:
        answer = msgspec.json.decode(told, type=LaunchResult)
    except msgspec.MsgspecError:
        raise EnvironmentFailure(f"the supervisor died; see {folder.logs / 'supervisor.log'}") from None
    if answer.code == 2:
        raise UsageError(answer.error)
    if answer.code:
        raise EnvironmentFailure(answer.error)


def _tell(answer: LaunchResult) -> None:
    """The one line, and the end of the pipe: whoever waits there has its answer."""
    try:
        os.write(1, msgspec.json.encode(answer) + b"\n")
    finally:
        os.dup2(2, 1)


def _ready(_: Supervisor) -> None:
    with suppress(BrokenPipeError):  # a command that was killed meanwhile does not take the shop with it
        _tell(LaunchResult())


def _say(text: str) -> None:
    """Write to the log, past Python's buffers: what a full disk refuses must not come back at the next line."""
    os.write(2, f"{text}\n".encode())


def main(arguments: list[str]) -> int:
    folder = StateFolder(Path(arguments[0]))
    try:
        spec = msgspec.json.decode(sys.stdin.buffer.read(), type=Spec)
        asyncio.run(run(spec, folder, _ready, _say))
    except UsageError as error:
        _tell(LaunchResult(code=2, error=str(error)))
    except EnvironmentFailure as error:
        _tell(LaunchResult(code=4, error=str(error)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
