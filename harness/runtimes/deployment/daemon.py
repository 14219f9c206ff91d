"""A supervisor in a session of its own: `python -m harness.runtimes.deployment.daemon STATE_DIR`, the spec on stdin.

The process writes one JSON line to stdout, `{}` once every node serves or `{"code", "error"}`; after that its output is
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
    """The outcome of a start. `code` is an exit code: 0, 2 for a `UsageError`, 4 for an `EnvironmentFailure`."""

    code: int = 0
    error: str = ""


def launch(spec: Spec, folder: StateFolder) -> control.DeploymentView:
    """Start a detached supervisor and return once every node serves. Blocks.

    Raises the `UsageError` or `EnvironmentFailure` of the supervisor, and `EnvironmentFailure` if it cannot be started.
    """
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
        reply = _exchange(child, msgspec.json.encode(spec))
    except BaseException:
        child.terminate()
        child.wait(GRACE_S * 4)
        raise
    _raise(reply, folder)
    deployment = control.view(folder)
    if deployment is None:
        raise EnvironmentFailure(f"the deployment ended at once; see {folder.logs / 'supervisor.log'}")
    # The supervisor outlives this process on purpose; a set return code keeps `Popen` from warning that it still runs.
    child.returncode = 0
    return deployment


def _exchange(child: subprocess.Popen[bytes], encoded_spec: bytes) -> bytes:
    """Send the spec; return the output until the child closes its end. `communicate` would also wait for the child's end."""
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdout, suppress(BrokenPipeError):
        with child.stdin:
            child.stdin.write(encoded_spec)
        return child.stdout.read()
    return b""


def _raise(reply: bytes, folder: StateFolder) -> None:
    try:
        result = msgspec.json.decode(reply, type=LaunchResult)
    except msgspec.MsgspecError:
        raise EnvironmentFailure(f"the supervisor died; see {folder.logs / 'supervisor.log'}") from None
    if result.code == 2:
        raise UsageError(result.error)
    if result.code:
        raise EnvironmentFailure(result.error)


def _send_result(result: LaunchResult) -> None:
    """Write the one line, and close the pipe, for whose end the launching command waits."""
    try:
        os.write(1, msgspec.json.encode(result) + b"\n")
    finally:
        os.dup2(2, 1)


def _ready(_: Supervisor) -> None:
    with suppress(BrokenPipeError):  # the launching command was killed meanwhile: the shop stays up all the same
        _send_result(LaunchResult())


def _log(text: str) -> None:
    """Write to the log, past Python's buffers: a line that a full disk refuses must not come back with the next one."""
    os.write(2, f"{text}\n".encode())


def main(arguments: list[str]) -> int:
    """Run the supervisor of the state folder `arguments[0]` until a signal ends it. Return 0."""
    folder = StateFolder(Path(arguments[0]))
    try:
        spec = msgspec.json.decode(sys.stdin.buffer.read(), type=Spec)
        asyncio.run(run(spec, folder, _ready, _log))
    except UsageError as error:
        _send_result(LaunchResult(code=2, error=str(error)))
    except EnvironmentFailure as error:
        _send_result(LaunchResult(code=4, error=str(error)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
