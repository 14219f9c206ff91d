"""The supervisor of one node: it starts the node, probes whether it serves, notices its end, and starts it again.

The loop, one turn a life:

    wait until a life is wanted -> begin it -> probe until it serves -> wait for its end -> wait `respawn_after_s`

A kill that is to last (`stay_down`) interrupts the last arrow; `revive` and `restart` set `_wanted` and so begin the next turn.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from harness.errors import EnvironmentFailure, exhausted
from harness.runtimes.base import ORDERS, Node, Order, State
from harness.runtimes.deployment import process
from harness.runtimes.deployment.plan import NodeSpec
from harness.runtimes.deployment.process import Identity
from harness.runtimes.deployment.process_handle import Begin, ProcessHandle
from protocols.service.tasks import Background, end_tasks, start_task

PROBE_EVERY_S = 0.03
LOG_TAIL_BYTES = 4_096
EFFECT_WITHIN_S = 10.0
POLL_EVERY_S = 0.001


class NodeSupervisor:
    """The supervisor of the node `node_spec`, which is started again `respawn_after_s` after its end (0: never).

    `changed` is called after every change of state, for the status file. `begin` starts each life; `injected` holds variables
    of the lives to come. `report` receives a line about each failure of the supervisor itself, which goes on until `stop`.
    """

    def __init__(
        self,
        node_spec: NodeSpec,
        respawn_after_s: float,
        changed: Callable[[], None],
        begin: Begin,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.node_spec = node_spec
        self.injected: Mapping[str, str] = {}
        self.beginning = False  # a life is being started, and its variables can no longer be changed
        self._begin = begin
        self._respawn_after_s = respawn_after_s
        self._changed = changed
        self._report = report
        self._state: State = "down"
        self._stay_down = False
        self._lives = 0
        self._life: ProcessHandle | None = None
        self._killed: ProcessHandle | None = None
        self._frozen: ProcessHandle | None = None
        self._wanted = asyncio.Event()
        self._served = asyncio.Event()
        self._ended = asyncio.Event()
        self._tasks = Background(self._report_once)
        self._last_report = ""
        self._most_bytes: int | None = None

    @property
    def identity(self) -> Identity | None:
        """Return the identity of the present life; None between two lives."""
        return self._life.identity if self._life else None

    @property
    def state(self) -> State:
        """Return the state. A process that has ended is down at once, before the loop is woken by its end."""
        if self._life is not None and self._life.ended:
            return "down"
        return "paused" if self._life is not None and self._life.paused else self._state

    def node(self) -> Node:
        """Return the node as it is now."""
        pid = self.identity.pid if self.identity else None
        url = (self._life.url if self._life else "") or self.node_spec.url
        takes = ORDERS if self.node_spec.command else frozenset[Order]()
        return Node(self.node_spec.name, self.node_spec.kind, self.node_spec.service, pid, url, self.state, takes)

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Start the loop. A server that was there before (no `command`) is taken as running, and has no loop."""
        if not self.node_spec.command:
            self._become("running")
            self._served.set()
            return
        self._wanted.set()
        self._tasks.keep(self._supervise, "its supervisor")

    async def serving(self, within_s: float) -> None:
        """Return once it serves. Raises `EnvironmentFailure` with the last line of its log if it ended or took too long."""
        deadline = asyncio.get_running_loop().time() + within_s
        while not self._served.is_set():  # a life may have served and ended before this task ran: that counts
            left_s = deadline - asyncio.get_running_loop().time()
            if self._ended.is_set() or left_s <= 0:
                what = "ended before it served" if self._ended.is_set() else f"does not serve after {within_s:g} s"
                raise EnvironmentFailure(
                    f"{self.node_spec.name} {what}: {self.last_log_line()} (log: {self.node_spec.log})"
                )
            waits = start_task(self._served.wait(), "served"), start_task(self._ended.wait(), "ended")
            try:
                await asyncio.wait(waits, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end_tasks(waits)

    async def stop(self, grace_s: float = process.GRACE_S) -> None:
        """End it for good: SIGTERM, after `grace_s` SIGKILL."""
        await self._tasks.stop()
        life = self._life
        if life is not None:
            life.signal(signal.SIGTERM)
            life.signal(signal.SIGCONT)  # a paused process handles SIGTERM only after SIGCONT
            try:
                await asyncio.wait_for(life.over(), grace_s)
            except TimeoutError:
                life.signal(signal.SIGKILL)
                await life.over()
        self._life = None
        self._become("down")

    # ------------------------------------------------------------ faults

    def signal(self, number: signal.Signals) -> None:
        """Send a signal. Raises `EnvironmentFailure` if the node has no process that this deployment started."""
        if self._life is None or not self._life.signal(number):
            raise EnvironmentFailure(f"{self.node_spec.name} is not running as a process here")
        if number in (signal.SIGSTOP, signal.SIGCONT):
            self._frozen = self._life if number == signal.SIGSTOP else None

    def kill(self, *, stay_down: bool) -> None:
        """Send SIGKILL; with `stay_down` no life follows before `revive` or `restart`. Raises as `signal` does."""
        self._stay_down = stay_down
        self._wanted.clear()  # a life that was already wanted would undo the kill
        self._served.clear()
        # A node that is down has no process to kill: with `stay_down` it is as wanted, without it the kill is an error.
        if self._life is not None or not stay_down:
            self.signal(signal.SIGKILL)
            self._killed = self._life

    def limit_files(self, most: int | None) -> None:
        """Bound the size of the files of this life and of later ones, in bytes; None: no bound."""
        self._most_bytes = most
        if self._life is not None:
            self._life.limit_files(most)

    async def settled(self) -> None:
        """Return once a kill or a pause has had its effect. Raises `EnvironmentFailure` if it has none."""
        if self._killed is not None:
            await self._within(self._killed.over(), "did not end", "SIGKILL")
        if self._frozen is not None:
            await self._within(_stands_still(self._frozen), "did not stop", "SIGSTOP")

    async def _within(self, effect: Awaitable[None], otherwise: str, number: str) -> None:
        try:
            await asyncio.wait_for(effect, EFFECT_WITHIN_S)
        except TimeoutError:
            raise EnvironmentFailure(
                f"{self.node_spec.name} {otherwise} within {EFFECT_WITHIN_S:g} s after {number}"
            ) from None

    async def restart(self, within_s: float) -> None:
        """End the present life, if there is one, begin another and return once it serves. Raises as `serving` does."""
        life = self._life
        if life is not None:
            with suppress(EnvironmentFailure):  # it was killed a moment ago, and is gone
                self.kill(stay_down=True)
            await life.over()
            # The loop is woken by the same end, perhaps after this task, and may then set `_ended`: `serving` would take the
            # end of the former life for that of the new one.
            while self._life is life:
                await asyncio.sleep(0)
        self.revive()
        await self.serving(within_s)

    def revive(self) -> None:
        """Begin a new life, at once or as soon as a kill has had its effect. A node that runs goes on."""
        ended = self._life is None or self._stay_down
        self._stay_down = False
        if ended and self.node_spec.command:
            self._served.clear()
            self._ended.clear()
            self._wanted.set()

    # ------------------------------------------------------------ inside

    async def _supervise(self) -> None:
        while True:
            await self._wanted.wait()
            # Cleared before the life and not after it: a `revive` during the life is about the next one, and must not be lost.
            self._wanted.clear()
            try:
                await self._run_life()
            except Exception as error:  # noqa: BLE001  a defect of this file; the node is started again all the same
                self._fail(f"its supervisor met {type(error).__name__}: {error}")
            # Without the second condition a node that stays down would come back by itself after `respawn_after_s`.
            if self._respawn_after_s and not self._stay_down:
                # The pause keeps a node that dies at once from using a whole processor; `restart` and `revive` cut it short.
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wanted.wait(), self._respawn_after_s)
                if not self._stay_down:  # a kill that is to last may have come during the pause
                    self._wanted.set()

    async def _run_life(self) -> None:
        """Run one life, from its start to its end. A life that cannot be started is reported, and raises no error."""
        self._ended.clear()
        try:
            life = await self._spawn()
        except Exception as error:  # noqa: BLE001  a full disk or process table may have space at the next try
            reason = str(error) if isinstance(error, OSError | EnvironmentFailure) else repr(error)
            self._fail(f"it cannot be started: {exhausted(error, starts=True) or reason}")
            return
        watch = self._tasks.run(self._watch(), "its watch")
        try:
            await life.over()
        finally:
            await end_tasks((watch,))
        self._life = None
        # A life that ended before it served will do so again, and a node that is not started again never serves: `serving`
        # raises at once, where it would otherwise wait for its whole time limit.
        if self._state == "starting" or not self._respawn_after_s or self._stay_down:
            self._ended.set()
        self._served.clear()
        self._become("down")

    async def _spawn(self) -> ProcessHandle:
        node_spec = self.node_spec
        environment = {**node_spec.environment, **(node_spec.once if self._lives == 0 else {}), **self.injected}
        self._lives += 1
        # From here on a change of `injected` no longer reaches this life: `ProcessFaultInjector` waits for the process itself.
        self.beginning = True
        try:
            self._life = life = await self._begin(node_spec, environment)
        finally:
            self.beginning = False
        if self._most_bytes is not None:
            life.limit_files(self._most_bytes)
        self._become("starting")
        return life

    def _fail(self, why: str) -> None:
        with suppress(OSError), self.node_spec.log.open("a") as log:
            log.write(f"{why}\n")
        self._report_once(why)
        self._ended.set()
        self._become("down")

    async def _watch(self) -> None:
        while not await self._serves():
            await asyncio.sleep(PROBE_EVERY_S)
        self._served.set()
        self._become("running")

    async def _serves(self) -> bool:
        """Return whether the node serves; False if the probe raises."""
        try:
            return await self.node_spec.serves()
        except Exception as error:  # noqa: BLE001  a defect of the probe must not end the watch: no later life would serve
            self._report_once(f"its probe met {type(error).__name__}: {error}")
            return False

    def _become(self, state: State) -> None:
        self._state = state
        try:
            self._changed()
        except Exception as error:  # noqa: BLE001  the node matters more than the status file: a full disk must not end it
            self._report_once(f"its state could not be noted: {type(error).__name__}: {error}")

    def _report_once(self, why: str) -> None:
        """Report one line, unless the last one was the same: a full disk may last for hours."""
        if why != self._last_report:
            self._last_report = why
            self._report(f"{self.node_spec.name}: {why}")

    def last_log_line(self) -> str:
        """Return the last line of its log, for an error message."""
        try:
            with self.node_spec.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
                lines = log.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1].strip() if lines else "its log is empty"


async def _stands_still(life: ProcessHandle) -> None:
    """Return once the process is stopped or has ended.

    A process goes on after SIGSTOP until the kernel has taken it off its processor: a moment, or more on a busy machine.
    """
    while not (life.paused or life.ended):
        await asyncio.sleep(POLL_EVERY_S)
