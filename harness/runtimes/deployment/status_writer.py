"""The writer of a deployment's status file, best effort: a full disk must end no node and no supervisor."""

import asyncio
from collections.abc import Callable

from harness.runtimes.deployment.state import DeploymentRecord, StateFolder

BEAT_EVERY_S = 1.0


class StatusWriter:
    """The writer. It repeats a failed write every second until it succeeds, and renews the supervisor's sign of work.

    `say` receives one line when writing begins to fail and one when it works again.
    """

    def __init__(self, folder: StateFolder, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._unwritten: DeploymentRecord | None = None
        self._failing = False
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Renew the sign of work, now and every second."""
        self._folder.beat()
        self._next = asyncio.get_running_loop().call_later(BEAT_EVERY_S, self._beat)

    def stop(self) -> None:
        """Stop both; a write that still fails is given up."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._unwritten = None

    def write(self, deployment: DeploymentRecord) -> None:
        """Write the status now, or, if that fails, every second until it succeeds."""
        try:
            self._folder.write(deployment)
        except OSError as error:
            self._unwritten = deployment
            if not self._failing:
                self._failing = True
                self._say(f"the status in {self._folder.path} cannot be written ({error.strerror}); trying again")
            return
        self._unwritten = None
        if self._failing:
            self._failing = False
            self._say(f"the status in {self._folder.path} is written again")

    # ------------------------------------------------------------ inside

    def _beat(self) -> None:
        self.start()
        if self._unwritten is not None:
            self.write(self._unwritten)
