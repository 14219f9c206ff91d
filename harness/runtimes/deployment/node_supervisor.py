"""Keeps one node alive: starts it, tells when it serves, notices its end, starts it again."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from harness.errors import EnvironmentFailure, exhausted
from harness.runtimes.base import Node, State
from harness.runtimes.deployment import process
from harness.runtimes.deployment.plan import NodeSpec
from harness.runtimes.deployment.process import Identity
from harness.runtimes.deployment.process_handle import Begin, ProcessHandle
from protocols.service.tasks import Background, end_tasks, start_task

PROBE_EVERY_S = 0.03
LAST_WORDS_BYTES = 4_096
EFFECT_WITHIN_S = 10.0
LOOK_EVERY_S = 0.001


class NodeSupervisor:
    """`changed` is called after every change of state, so that somebody can write it down.

    `begin` starts each of its lives; `injected` holds variables of the next ones; `report` receives a line about each
    failure of the keeper itself, which goes on: a node must not lose its keeper to anything but `stop`.
    """

    def __init__(
        self,
        member: NodeSpec,
        respawn_after_s: float,
        changed: Callable[[], None],
        begin: Begin,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.member = member
        self.injected: Mapping[str, str] = {}
        self.beginning = False  # a life is being started, and what it was told is settled
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
        self._tasks = Background(self._complain)
        self._complaint = ""
        self._most_bytes: int | None = None

    @property
    def identity(self) -> Identity | None:
        """Who lives now; None if nobody does."""
        return self._life.identity if self._life else None

    @property
    def state(self) -> State:
        if self._life is not None and self._life.ended:
            return "down"
        return "paused" if self._life is not None and self._life.paused else self._state

    def node(self) -> Node:
        pid = self.identity.pid if self.identity else None
        url = (self._life.url if self._life else "") or self.member.url
        return Node(self.member.name, self.member.kind, self.member.service, pid, url, self.state)

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Begin to keep it. A server that somebody else runs is taken as running."""
        if not self.member.command:
            self._become("running")
            self._served.set()
            return
        self._wanted.set()
        self._tasks.keep(self._keep, "its keeper")

    async def serving(self, within_s: float) -> None:
        """Return once it serves. Raises `EnvironmentFailure` with its last words if it ended or took too long."""
        deadline = asyncio.get_running_loop().time() + within_s
        while not self._served.is_set():  # a life that served may have ended before anybody could look
            left_s = deadline - asyncio.get_running_loop().time()
            if self._ended.is_set() or left_s <= 0:
                what = "ended before it served" if self._ended.is_set() else f"does not serve after {within_s:g} s"
                raise EnvironmentFailure(f"{self.member.name} {what}: {self.last_words()} (log: {self.member.log})")
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
            life.signal(signal.SIGCONT)
            try:
                await asyncio.wait_for(life.over(), grace_s)
            except TimeoutError:
                life.signal(signal.SIGKILL)
                await life.over()
        self._life = None
        self._become("down")

    # ------------------------------------------------------------ faults

    def signal(self, number: signal.Signals) -> None:
        """Raises `EnvironmentFailure` if there is no process of ours to signal."""
        if self._life is None or not self._life.signal(number):
            raise EnvironmentFailure(f"{self.member.name} is not running as a process here")
        if number in (signal.SIGSTOP, signal.SIGCONT):
            self._frozen = self._life if number == signal.SIGSTOP else None

    def kill(self, *, stay_down: bool) -> None:
        self._stay_down = stay_down
        self._wanted.clear()
        self._served.clear()
        if self._life is not None or not stay_down:
            self.signal(signal.SIGKILL)
            self._killed = self._life

    def limit_files(self, most: int | None) -> None:
        """Let no file of this life or a later one grow beyond so many bytes; None: without a limit."""
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
                f"{self.member.name} {otherwise} within {EFFECT_WITHIN_S:g} s after {number}"
            ) from None

    async def restart(self, within_s: float) -> None:
        """A new life at once, whatever it did before."""
        life = self._life
        if life is not None:
            with suppress(EnvironmentFailure):  # it was killed a moment ago, and is gone
                self.kill(stay_down=True)
            await life.over()
            while self._life is life:
                await asyncio.sleep(0)
        self.revive()
        await self.serving(within_s)

    def revive(self) -> None:
        """A new life, at once or as soon as a kill has had its effect. A node that runs goes on."""
        ended = self._life is None or self._stay_down
        self._stay_down = False
        if ended and self.member.command:
            self._served.clear()
            self._ended.clear()
            self._wanted.set()

    # ------------------------------------------------------------ inside

    async def _keep(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._live()
            except Exception as error:  # noqa: BLE001  a defect of ours; the node is started again all the same
                self._fail(f"its keeper met {type(error).__name__}: {error}")
            if self._respawn_after_s and not self._stay_down:
                # restart() may want it earlier
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wanted.wait(), self._respawn_after_s)
                if not self._stay_down:
                    self._wanted.set()

    async def _live(self) -> None:
        """One life, from start to end."""
        self._ended.clear()
        try:
            life = await self._spawn()
        except Exception as error:  # noqa: BLE001  whatever it was, the next try may succeed
            words = str(error) if isinstance(error, OSError | EnvironmentFailure) else repr(error)
            self._fail(f"it cannot be started: {exhausted(error, starts=True) or words}")
            return
        watch = self._tasks.run(self._watch(), "its watch")
        try:
            await life.over()
        finally:
            await end_tasks((watch,))
        self._life = None
        if self._state == "starting" or not self._respawn_after_s or self._stay_down:
            self._ended.set()  # waiting for it would be in vain
        self._served.clear()
        self._become("down")

    async def _spawn(self) -> ProcessHandle:
        member = self.member
        environment = {**member.environment, **(member.once if self._lives == 0 else {}), **self.injected}
        self._lives += 1
        self.beginning = True
        try:
            self._life = life = await self._begin(member, environment)
        finally:
            self.beginning = False
        if self._most_bytes is not None:
            life.limit_files(self._most_bytes)
        self._become("starting")
        return life

    def _fail(self, why: str) -> None:
        with suppress(OSError), self.member.log.open("a") as log:
            log.write(f"{why}\n")
        self._complain(why)
        self._ended.set()
        self._become("down")

    async def _watch(self) -> None:
        while not await self._serves():
            await asyncio.sleep(PROBE_EVERY_S)
        self._served.set()
        self._become("running")

    async def _serves(self) -> bool:
        """A probe that fails has seen no node that serves."""
        try:
            return await self.member.serves()
        except Exception as error:  # noqa: BLE001  a defect of the probe must not end the watch
            self._complain(f"its probe met {type(error).__name__}: {error}")
            return False

    def _become(self, state: State) -> None:
        self._state = state
        try:
            self._changed()
        except Exception as error:  # noqa: BLE001  the node is what counts, not the note about it
            self._complain(f"its state could not be noted: {type(error).__name__}: {error}")

    def _complain(self, why: str) -> None:
        """One line, once for each reason in a row: a full disk may last for hours."""
        if why != self._complaint:
            self._complaint = why
            self._report(f"{self.member.name}: {why}")

    def last_words(self) -> str:
        """The last line of its log, for an error message."""
        try:
            with self.member.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LAST_WORDS_BYTES))
                lines = log.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1].strip() if lines else "it said nothing"


async def _stands_still(life: ProcessHandle) -> None:
    """A stopped process goes on until the kernel has taken it off its processor: a moment, or more on a busy machine."""
    while not (life.paused or life.ended):
        await asyncio.sleep(LOOK_EVERY_S)
