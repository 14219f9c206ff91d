"""One container, and its lives: started, watched and signalled through the engine's interface.

The client library blocks, so it works in threads: one for the orders to each container, which keeps them in order, and one for
each life that listens to what it says until it ends.
"""

import asyncio
import io
import json
import re
import signal
import tarfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment import probe
from harness.runtimes.deployment.plan import NodeSpec
from harness.runtimes.deployment.process import Identity
from harness.runtimes.docker.engine_client import close_stream, in_words, told
from harness.runtimes.docker.resources import published
from protocols.backoff import Backoff

T = TypeVar("T")

TOLD_IN, TOLD = "etc/wdm", "environment.json"
# The words of a store, RabbitMQ and Kafka, which listen where this machine cannot ask.
READY = re.compile(rb"Ready to accept connections|completed with \d+ plugins|Kafka Server started")
# Number 1 of a store's container is the store, and who looks into it is its user; the hard limit stays.
LIMIT = 'exec prlimit --pid 1 --fsize="$1":'
# An engine may lose what a command prints that ends at once (Docker 20.10 on a busy machine: 7 of 150), and calls it a success.
MARKED, MARK, MARKED_TRIES = '"$@" && printf ::', b"::", 20
GONE = (404, 409)  # it ended meanwhile, or is in that state already
# The kernel's older freezer gives up on a container that is just starting a process.
FREEZE_TRIES = 5
FREEZE_AGAIN_MS, LONGEST_FREEZE_AGAIN_MS = 25.0, 100.0


class Container:
    """A container that was made. `asked`: whether it answers HTTP; others are listened to instead."""

    def __init__(self, handle: Any, *, asked: bool, inner_port: str, told_by_file: bool) -> None:
        self.handle = handle
        self.asked = asked
        self.inner_port = inner_port
        self.trouble: list[str] = []
        self._told_by_file = told_by_file
        self._orders = ThreadPoolExecutor(1, thread_name_prefix=handle.name)
        self._under_way: set[Future[None]] = set()
        self._life: ContainerLife | None = None
        # Of the thread of orders alone: whether it has paused the container, and the looks that wait for the end of the pause.
        self._frozen = False
        self._put_off: list[Callable[[], None]] = []

    async def begin(self, member: NodeSpec, environment: Mapping[str, str]) -> "ContainerLife":
        """Start it, with these variables over its own. Raises `EnvironmentFailure`."""
        life = ContainerLife(self, asyncio.get_running_loop())
        await asyncio.wrap_future(self._orders.submit(life.start, member, environment))
        self._life = life
        return life

    async def serves(self) -> bool:
        life = self._life
        if life is None:
            return False
        return await probe.http(life.port)() if self.asked else life.ready

    def limit_files(self, most: int | None) -> None:
        """Let no file of its processes grow beyond so many bytes, after all that was ordered before. None: without a limit."""
        self._look(self._limit_files, "unlimited" if most is None else str(most))

    def order(self, what: str, *arguments: Any) -> None:
        """Have something done to it, after all that was ordered before."""
        self._enter(self._do, what, arguments)

    def exec(self, command: list[str]) -> tuple[bytes, Any]:
        """Run something in it that goes on. Blocks until it says its first word; returns that, and the stream of all others.

        Raises `EnvironmentFailure`. A pause and a look do not meet (`_look`).
        """
        return self._look(self._exec, command).result()

    def run(self, command: list[str]) -> None:
        """Run something in it to its end, as `exec` does. Blocks. Raises `EnvironmentFailure` with its words if it fails."""
        self._look(self._run, command).result()

    def ask(self, command: list[str]) -> bytes:
        """The same, of a command that may be run twice, and what it prints: it is run again if the engine loses that."""
        for _ in range(MARKED_TRIES):
            said = self._look(self._run, ["sh", "-c", MARKED, "sh", *command]).result()
            if said.endswith(MARK):
                return said.removesuffix(MARK)
        raise EnvironmentFailure(f"{self.handle.name}: the engine loses what {command[0]} prints")

    async def settled(self) -> None:
        """Return once all that was ordered is done, or in `trouble`; a look may be put off to the end of a pause."""
        # Shielded: an order stands, also when nobody waits for it any more.
        waits = [asyncio.shield(asyncio.wrap_future(one)) for one in tuple(self._under_way)]
        await asyncio.gather(*waits, return_exceptions=True)

    def take_trouble(self) -> list[str]:
        """What could not be done to it, since the last time."""
        trouble, self.trouble = self.trouble, []
        return trouble

    async def thaw(self) -> None:
        """Whatever happened, it is not paused any more."""
        await asyncio.wrap_future(self._orders.submit(self._thaw))

    def tell(self, environment: Mapping[str, str]) -> None:
        """Leave the variables of the next life where it looks for them: in a volume, as its root cannot be written. Blocks."""
        if self._told_by_file:
            self.put(f"/{TOLD_IN}", TOLD, json.dumps(environment).encode())

    def put(self, folder: str, name: str, content: bytes, owner: tuple[int, int] = (0, 0)) -> None:
        """A file in it, also while it does not run. Blocks."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            entry.uid, entry.gid = owner
            archive.addfile(entry, io.BytesIO(content))
        self.handle.put_archive(folder, packed.getvalue())

    def close(self) -> None:
        """Take no more orders. A look that still waits for the end of a pause fails, as one into a container that is gone."""
        self._orders.submit(self._run_on)
        self._orders.shutdown(wait=False)

    def _look(self, look: Callable[..., T], *arguments: Any) -> "Future[T]":
        """Start something in it, after all that was ordered before; while it is paused, at the end of the pause.

        The engine starts nothing in a paused container, and one that is paused during such a start can never be unpaused:
        the engine waits for the start and the start, frozen, for the engine. So all of it is done by the thread of orders,
        which knows whether it has paused the container.
        """
        future: Future[T] = Future()

        def turn() -> None:
            if self._frozen:
                self._put_off.append(turn)
                return
            try:
                future.set_result(look(*arguments))
            except Exception as error:  # noqa: BLE001  it is the caller's, who waits in another thread
                future.set_exception(error)

        self._enter(turn)
        return future

    def _enter(self, work: Callable[..., None], *arguments: Any) -> None:
        future = self._orders.submit(work, *arguments)
        self._under_way.add(future)
        future.add_done_callback(self._carried_out)

    def _carried_out(self, future: Future[None]) -> None:
        self._under_way.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            self.trouble.append(f"{self.handle.name}: {error!r}")

    def _run_on(self) -> None:
        """It is not paused any more: take the looks that were put off, in their order."""
        self._frozen = False
        put_off, self._put_off = self._put_off, []
        for turn in put_off:
            turn()

    def _limit_files(self, most: str) -> None:
        try:
            self._run(["sh", "-c", LIMIT, "limit", most])
        except EnvironmentFailure as failure:
            if self._runs():  # a life that is over has no limit
                self.trouble.append(str(failure))

    def _runs(self) -> bool:
        """Whether the engine still has a process of it: its end is heard of a moment later."""
        with suppress(EnvironmentFailure), told(f"{self.handle.name} cannot be looked at"):
            self.handle.reload()
        return bool(self.handle.status == "running")

    def _do(self, what: str, arguments: tuple[Any, ...]) -> None:
        if self._done(what, arguments) and what == "pause":
            self._frozen = True
        elif what != "pause":  # the engine lets a container run on that it is to kill
            self._run_on()

    def _done(self, what: str, arguments: tuple[Any, ...]) -> bool:
        """Whether it was done. What is so already, or over, is no trouble."""
        from docker.errors import APIError  # noqa: PLC0415 - slow to import, and only this runtime needs it

        backoff = Backoff(FREEZE_AGAIN_MS, LONGEST_FREEZE_AGAIN_MS)
        for tries_left in reversed(range(FREEZE_TRIES)):
            try:
                with told(f"{self.handle.name}: {what}"):
                    getattr(self.handle, what)(*arguments)
            except EnvironmentFailure as failure:
                cause = failure.__cause__
                if isinstance(cause, APIError) and (cause.status_code in GONE or "not paused" in str(cause)):
                    return False
                if tries_left and "unable to freeze" in str(cause):
                    time.sleep(backoff.next_s())
                    continue
                self.trouble.append(str(failure))
                return False
            break
        return True

    def _exec(self, command: list[str]) -> tuple[bytes, Any]:
        with told(f"{self.handle.name}: {command[0]}"):
            _, words = self.handle.exec_run(command, stream=True, stderr=False)
            return next(words, b""), words

    def _run(self, command: list[str]) -> bytes:
        with told(f"{self.handle.name}: {command[0]}"):
            code, (said, complained) = self.handle.exec_run(command, demux=True)
        if code:
            raise EnvironmentFailure(f"{self.handle.name}: {in_words((complained or b'').decode('utf-8', 'replace'))}")
        return said or b""

    def _thaw(self) -> None:
        with told(f"{self.handle.name} cannot be unpaused"):
            self.handle.reload()
            if self.handle.status == "paused":
                self.handle.unpause()
        self._run_on()


class ContainerLife:
    """From a start to the end of what the container says."""

    def __init__(self, container: Container, loop: asyncio.AbstractEventLoop) -> None:
        self.identity: Identity | None = None
        self.port = 0
        self.paused = False
        self.ready = False
        self._container = container
        self._loop = loop
        self.ended = False
        self._over = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}" if self.port else ""

    def limit_files(self, most: int | None) -> None:
        self._container.limit_files(most)

    def signal(self, number: signal.Signals) -> bool:
        if self.ended:
            return False
        match number:
            case signal.SIGSTOP:
                self.paused = True
                self._container.order("pause")
            case signal.SIGCONT:
                self.paused = False
                self._container.order("unpause")
            case _:
                self.paused = False  # the engine lets it go on, so that it can end
                self._container.order("kill", number.name)
        return True

    async def over(self) -> None:
        await self._over.wait()

    def start(self, member: NodeSpec, environment: Mapping[str, str]) -> None:
        """Blocks until it runs."""
        handle = self._container.handle
        with told(f"{member.name} cannot be started"):
            self._container.tell(environment)
            words = handle.attach(stdout=True, stderr=True, stream=True, logs=False)
            handle.start()
            handle.reload()
        state = handle.attrs["State"]
        self.port = published(handle, self._container.inner_port)
        self.identity = Identity(state["Pid"], state["StartedAt"])
        threading.Thread(target=self._listen, args=(member, words), name=f"{member.name} speaks", daemon=True).start()

    def _listen(self, member: NodeSpec, words: Any) -> None:
        """Write down what it says; when it says no more, it is over."""
        try:
            with member.log.open("ab", buffering=0) as log:
                for chunk in words:
                    self.ready = self.ready or READY.search(chunk) is not None
                    log.write(chunk)
            self._container.handle.wait()
        except Exception as error:  # noqa: BLE001  the end of a thread is seen by nobody but itself
            self._container.trouble.append(f"{member.name} cannot be listened to: {in_words(str(error))}")
        finally:
            close_stream(words)
            self.paused = False
            self.ended = True
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._over.set)
