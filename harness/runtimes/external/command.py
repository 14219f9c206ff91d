"""A shell command of the user that kills or starts a node."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import EnvironmentFailure, exhausted
from harness.runtimes.deployment.process import Identity, identify

ENDS_WITHIN_S = 30.0
FOREGROUND_S = 3.0
"""A start command that still runs after this time is taken for the node itself, in the foreground."""
POLL_S = 0.02


@dataclass
class ShellCommand:
    """The value `text` of the option `option`. The output is appended to the file `log`, the working directory is `folder`.

    It runs in a session of its own: a Ctrl-C is for this process alone, and a node that it starts outlives this process.
    """

    option: str
    text: str
    log: Path
    begun: list[Identity] = field(default_factory=list)
    """The process of each start, which leads a process group: for an owner that ends them."""
    folder: Path | None = None
    child: "subprocess.Popen[bytes] | None" = None
    _log_began: int = 0

    def run(self) -> None:
        """Run the command to its end, for at most `ENDS_WITHIN_S`. Raises `EnvironmentFailure` with its last line."""
        child = self.begin()
        try:
            child.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise EnvironmentFailure(f"{self}: it did not end within {ENDS_WITHIN_S:g} s") from None
        self.check()

    def launch(self) -> None:
        """Start the command; return once it has ended with success, or goes on as a node in the foreground.

        Raises `EnvironmentFailure` as `run` does.
        """
        self.begin()
        deadline = time.monotonic() + FOREGROUND_S
        while self.runs() and time.monotonic() < deadline:
            time.sleep(POLL_S)
        self.check()

    def begin(self) -> "subprocess.Popen[bytes]":
        """Start the command and return at once. Raises `EnvironmentFailure` if it cannot be started."""
        self.leave()
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as log:
                self._log_began = log.tell()
                self.child = subprocess.Popen(
                    ["/bin/sh", "-c", self.text],
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            why = exhausted(error, starts=True) or error.strerror
            raise EnvironmentFailure(f"{self}: it cannot be started: {why}") from error
        self.begun.append(identify(self.child.pid) or Identity(self.child.pid, ""))
        return self.child

    def runs(self) -> bool:
        """Return whether the command has begun and not ended."""
        return self.child is not None and self.child.poll() is None

    def check(self) -> None:
        """Raise `EnvironmentFailure` if the command has ended with an exit code other than 0."""
        if self.child is not None and self.child.poll():
            raise EnvironmentFailure(f"{self}: exit code {self.child.returncode}: {self._last_line()}")

    def leave(self) -> None:
        """Leave the command alone, if it still runs."""
        if self.runs() and self.child is not None:
            self.child.returncode = 0  # keeps `Popen` from warning that it still runs
        self.child = None

    def __str__(self) -> str:
        return f"{self.option}={self.text!r}"

    def _last_line(self) -> str:
        with suppress(OSError), self.log.open("rb") as log:
            log.seek(self._log_began)
            lines = log.read().decode("utf-8", "replace").split("\n")
            return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
        return f"see {self.log}"
