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
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from harness.runtimes.base import EnvironmentFailure
from harness.runtimes.docker.engine import close_stream, in_words, told
from harness.runtimes.docker.ours import published
from harness.runtimes.local import probe
from harness.runtimes.local.nodes import Member
from harness.runtimes.local.process import Identity

TOLD = "etc/wdm/environment.json"
# The words of a store, RabbitMQ and Kafka, which listen where this machine cannot ask.
READY = re.compile(rb"Ready to accept connections|completed with \d+ plugins|Kafka Server started")
# Number 1 of a store's container is the store, once it has dropped root; the hard limit stays.
LIMIT = 'exec setpriv --reuid "$(stat -c %u /proc/1)" --clear-groups prlimit --pid 1 --fsize="$1":'
GONE = (404, 409)  # it ended meanwhile, or is in that state already
FREEZE_TRIES, FREEZE_AGAIN_S = (
    5,
    0.05,
)  # the kernel's older freezer gives up on a container that is just starting a process


class Container:
    """A container that was made. ``asked``: whether it answers HTTP; others are listened to instead."""

    def __init__(self, handle: Any, *, asked: bool, inner_port: str, told_by_file: bool) -> None:
        self.handle = handle
        self.asked = asked
        self.inner_port = inner_port
        self.trouble: list[str] = []
        self._told_by_file = told_by_file
        self._orders = ThreadPoolExecutor(1, thread_name_prefix=handle.name)
        self._under_way: set[Future[None]] = set()
        self._life: ContainerLife | None = None

    async def begin(self, member: Member, environment: Mapping[str, str]) -> "ContainerLife":
        """Start it, with these variables over its own. Raises ``EnvironmentFailure``."""
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
        future = self._orders.submit(self._limit_files, "unlimited" if most is None else str(most))
        self._under_way.add(future)
        future.add_done_callback(self._done)

    def order(self, what: str, *arguments: Any) -> None:
        """Have something done to it, after all that was ordered before."""
        future = self._orders.submit(self._do, what, arguments)
        self._under_way.add(future)
        future.add_done_callback(self._done)

    def exec(self, command: list[str]) -> tuple[bytes, Any]:
        """Run something in it. Blocks until that says its first word; returns the word, and the stream of all others.

        It waits for its turn: a container that is paused while something is being started in it can never be unpaused, because
        the engine waits for the start and the start, frozen, for the engine. Raises ``EnvironmentFailure``.
        """
        return self._orders.submit(self._exec, command).result()

    def run(self, command: list[str]) -> bytes:
        """Run something in it to its end, when its turn has come (see ``exec``). Blocks; returns what it prints.

        Raises ``EnvironmentFailure`` with its words if it fails.
        """
        return self._orders.submit(self._run, command).result()

    def _done(self, future: Future[None]) -> None:
        self._under_way.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            self.trouble.append(f"{self.handle.name}: {error!r}")

    async def settled(self) -> None:
        """Return once all that was ordered is done, or in ``trouble``."""
        await asyncio.gather(*map(asyncio.wrap_future, self._under_way), return_exceptions=True)

    def take_trouble(self) -> list[str]:
        """What could not be done to it, since the last time."""
        trouble, self.trouble = self.trouble, []
        return trouble

    async def thaw(self) -> None:
        """Whatever happened, it is not paused any more."""
        await asyncio.wrap_future(self._orders.submit(self._thaw))

    def tell(self, environment: Mapping[str, str]) -> None:
        """Leave the variables of the next life where it looks for them. Blocks."""
        if self._told_by_file:
            self.put("/", TOLD, json.dumps(environment).encode())

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
        self._orders.shutdown(wait=False)

    def _limit_files(self, most: str) -> None:
        """By the user of the process itself, who needs no privilege for it."""
        try:
            self._run(["sh", "-c", LIMIT, "limit", most])
        except EnvironmentFailure as failure:
            if not self.ended:  # a life that is over has no limit
                self.trouble.append(str(failure))

    @property
    def ended(self) -> bool:
        return self._life is None or self._life.ended

    def _do(self, what: str, arguments: tuple[Any, ...]) -> None:
        from docker.errors import APIError  # noqa: PLC0415 - slow to import, and only this runtime needs it

        for tries_left in reversed(range(FREEZE_TRIES)):
            try:
                with told(f"{self.handle.name}: {what}"):
                    getattr(self.handle, what)(*arguments)
            except EnvironmentFailure as failure:
                cause = failure.__cause__
                if isinstance(cause, APIError) and (cause.status_code in GONE or "not paused" in str(cause)):
                    return
                if tries_left and "unable to freeze" in str(cause):
                    time.sleep(FREEZE_AGAIN_S)
                    continue
                self.trouble.append(str(failure))
            return

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

    def start(self, member: Member, environment: Mapping[str, str]) -> None:
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

    def _listen(self, member: Member, words: Any) -> None:
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
