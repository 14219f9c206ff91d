"""One container, and its lives: started, watched and signalled through the engine's interface.

The client library blocks, so it works in threads: one for the orders to each container, which keeps them in order, and one for
each life, which reads the container's output until it ends.

Rule of the file: no command is started in a paused container, and no container is paused while a command starts in it. The
thread of orders alone pauses, unpauses and starts commands, and postpones a command to the end of the pause (`_submit`).
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
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment import probe
from harness.runtimes.deployment.order_thread import OrderThread
from harness.runtimes.deployment.plan import NodeSpec
from harness.runtimes.deployment.process import Identity
from harness.runtimes.docker.engine_client import close_stream, engine_errors, error_line
from harness.runtimes.docker.resources import published
from protocols.backoff import Backoff

T = TypeVar("T")

ENVIRONMENT_FOLDER, ENVIRONMENT_FILE = "etc/wdm", "environment.json"
# The output by which a store, RabbitMQ and Kafka show that they serve; their ports are not reachable from this machine.
READY = re.compile(rb"Ready to accept connections|completed with \d+ plugins|Kafka Server started")
# Process 1 of a store's container is the store, and a command in it runs as the same user; the hard limit stays.
LIMIT = 'exec prlimit --pid 1 --fsize="$1":'
# An engine may lose the output of a command that ends at once, with exit code 0 (Docker 20.10 on a busy machine: 7 of 150).
# The mark at the end of a whole output shows the loss.
MARKED, MARK, MARKED_TRIES = '"$@" && printf ::', b"::", 20
GONE = (404, 409)  # the container ended meanwhile, or is in that state already
# What the engine refuses for a state that passes by itself. The kernel's older freezer gives up on a container that is just
# starting a process. And the engine applies a pause and its end when they are done, and a second time when it reads its own
# events of them: a late event makes a container that runs again look paused for a moment, or a paused one running.
PASSING = ("unable to freeze", "paused")
PASSING_TRIES = 6
AGAIN_MS, LONGEST_AGAIN_MS = 25.0, 200.0


def until_passed(call: Callable[[], T]) -> T:
    """Call the engine, several times while it refuses for a state that passes by itself.

    Blocks. Raises `EnvironmentFailure`, also when the state does not pass.
    """
    backoff = Backoff(AGAIN_MS, LONGEST_AGAIN_MS)
    for _ in range(PASSING_TRIES - 1):
        try:
            return call()
        except EnvironmentFailure as failure:
            if not any(sign in str(failure.__cause__) for sign in PASSING):
                raise
            time.sleep(backoff.next_s())
    return call()


def order_to(handle: Any, what: str, *arguments: Any) -> bool:
    """Call a method of a container's handle; return False if the container is gone or in that state already.

    Blocks (`until_passed`). Raises `EnvironmentFailure`.
    """
    from docker.errors import APIError  # noqa: PLC0415 - slow to import, and only this runtime needs it

    def call() -> None:
        with engine_errors(f"{handle.name}: {what}"):
            getattr(handle, what)(*arguments)

    try:
        until_passed(call)
    except EnvironmentFailure as failure:
        cause = failure.__cause__
        # A node may end by itself between the order and this call: the fault has its effect, and nothing is to report.
        if isinstance(cause, APIError) and (cause.status_code in GONE or "not paused" in str(cause)):
            return False
        raise
    return True


class Container:
    """A container that was made, with its orders.

    `probed_by_http`: whether it answers `GET /health`; of another one the output shows whether it serves. `inner_port`: its
    port inside the container, as `5000/tcp`. `reads_environment_file`: whether it reads its variables from a file.
    """

    drain = "SIGTERM"
    """The signal for its regular end."""

    def __init__(self, handle: Any, *, probed_by_http: bool, inner_port: str, reads_environment_file: bool) -> None:
        self.handle = handle
        self.probed_by_http = probed_by_http
        self.inner_port = inner_port
        self._reads_environment_file = reads_environment_file
        self._orders = OrderThread(handle.name)
        self._life: ContainerLife | None = None
        # Of the thread of orders alone: whether it has paused the container, and the commands postponed to the end of the pause.
        self._frozen = False
        self._postponed: list[Callable[[], None]] = []

    async def begin(self, node_spec: NodeSpec, environment: Mapping[str, str]) -> "ContainerLife":
        """Start it, with these variables over its own; return its life. Raises `EnvironmentFailure`."""
        life = ContainerLife(self, asyncio.get_running_loop())
        await self._orders.call(life.start, node_spec, environment)
        self._life = life
        return life

    async def serves(self) -> bool:
        """Return whether its present life serves."""
        life = self._life
        if life is None:
            return False
        return await probe.http(life.port)() if self.probed_by_http else life.ready

    def limit_files(self, most: int | None) -> None:
        """Bound the size of its files, in bytes, after all earlier orders; None: no bound."""
        self._submit(self._limit_files, "unlimited" if most is None else str(most))

    def order(self, what: str, *arguments: Any) -> None:
        """Call the method `what` of the container's handle, after all earlier orders."""
        self._orders.enter(self._carry_out, what, arguments)

    def exec(self, command: list[str]) -> tuple[bytes, Any]:
        """Start a command in it that goes on; return its first output and the stream of the rest.

        Blocks until the first output, and during a pause (`_submit`). Raises `EnvironmentFailure`.
        """
        return self._submit(self._exec, command).result()

    def run(self, command: list[str]) -> None:
        """Run a command in it to its end. Blocks. Raises `EnvironmentFailure` with its error output if it fails."""
        self._submit(self._run, command).result()

    def output_of(self, command: list[str]) -> bytes:
        """Run a command that may be repeated, to its end; return its output.

        The command runs again while the engine loses the output. Blocks. Raises `EnvironmentFailure`.
        """
        for _ in range(MARKED_TRIES):
            output = self._submit(self._run, ["sh", "-c", MARKED, "sh", *command]).result()
            if output.endswith(MARK):
                return output.removesuffix(MARK)
        raise EnvironmentFailure(f"{self.handle.name}: the engine loses what {command[0]} prints")

    async def settled(self) -> None:
        """Return once every order is carried out, or in `trouble`; a command may be postponed to the end of a pause."""
        await self._orders.settled()

    @property
    def trouble(self) -> list[str]:
        """Return one line for each order that failed since the last `take_trouble`."""
        return self._orders.trouble

    def take_trouble(self) -> list[str]:
        """Return one line for each order that failed since the last call."""
        return self._orders.take_trouble()

    async def thaw(self) -> None:
        """Unpause it if it is paused. Raises `EnvironmentFailure`."""
        await self._orders.call(self._thaw)

    def write_environment(self, environment: Mapping[str, str]) -> None:
        """Write the variables of the next life to the file that it reads: in a volume, as its root is read-only. Blocks."""
        if self._reads_environment_file:
            self.put(f"/{ENVIRONMENT_FOLDER}", ENVIRONMENT_FILE, json.dumps(environment).encode())

    def put(self, folder: str, name: str, content: bytes, owner: tuple[int, int] = (0, 0)) -> None:
        """Write a file in it, also while it does not run. `owner`: its user and group ids. Blocks."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            entry.uid, entry.gid = owner
            archive.addfile(entry, io.BytesIO(content))
        self.handle.put_archive(folder, packed.getvalue())

    def close(self) -> None:
        """Take no more orders. A postponed command fails now, as in a container that is gone: its caller must not wait on."""
        self._orders.enter(self._run_on)
        self._orders.close()

    def _submit(self, command: Callable[..., T], *arguments: Any) -> "Future[T]":
        """Start a command in the container, after all earlier orders; while it is paused, at the end of the pause.

        The engine starts no command in a paused container, and a container that is paused during such a start can never be
        unpaused: the engine waits for the start and the start, frozen, for the engine. So the thread of orders does all of
        this, as only that thread pauses the container.
        """
        future: Future[T] = Future()

        def attempt() -> None:
            # Not an error and no wait: an error would fail a fault that only came too early, and a wait would keep this thread
            # from the order that ends the pause.
            if self._frozen:
                self._postponed.append(attempt)
                return
            try:
                future.set_result(command(*arguments))
            except Exception as error:  # noqa: BLE001  the error is for the caller, which waits in another thread
                future.set_exception(error)

        self._orders.enter(attempt)
        return future

    def _run_on(self) -> None:
        """Note the end of the pause, and start the postponed commands in their order."""
        self._frozen = False
        postponed, self._postponed = self._postponed, []
        for attempt in postponed:
            attempt()

    def _limit_files(self, most: str) -> None:
        try:
            self._run(["sh", "-c", LIMIT, "limit", most])
        except EnvironmentFailure as failure:
            if self._runs():  # the limit of a life that is over needs no report: the next one gets its own
                self.trouble.append(str(failure))

    def _runs(self) -> bool:
        """Return whether the engine still has a process of it. `ContainerLife.ended` follows a moment later."""
        with suppress(EnvironmentFailure), engine_errors(f"{self.handle.name} cannot be looked at"):
            self.handle.reload()
        return bool(self.handle.status == "running")

    def _carry_out(self, what: str, arguments: tuple[Any, ...]) -> None:
        if self._call_engine(what, arguments) and what == "pause":
            self._frozen = True
        elif what != "pause":
            # An unpause ends the pause, and so does a kill: the engine thaws a container before the signal. A pause that failed
            # comes to neither branch: the container may be paused from before, and its postponed commands have to wait on.
            self._run_on()

    def _call_engine(self, what: str, arguments: tuple[Any, ...]) -> bool:
        """Call a method of the handle as `order_to` does; return whether it succeeded."""
        try:
            return order_to(self.handle, what, *arguments)
        except EnvironmentFailure as failure:
            self.trouble.append(str(failure))
            return False

    def _exec(self, command: list[str]) -> tuple[bytes, Any]:
        def call() -> tuple[bytes, Any]:
            with engine_errors(f"{self.handle.name}: {command[0]}"):
                _, stream = self.handle.exec_run(command, stream=True, stderr=False)
                return next(stream, b""), stream

        return until_passed(call)

    def _run(self, command: list[str]) -> bytes:
        def call() -> tuple[int, tuple[bytes | None, bytes | None]]:
            with engine_errors(f"{self.handle.name}: {command[0]}"):
                ended: tuple[int, tuple[bytes | None, bytes | None]] = self.handle.exec_run(command, demux=True)
            return ended

        code, (output, errors) = until_passed(call)
        if code:
            raise EnvironmentFailure(f"{self.handle.name}: {error_line((errors or b'').decode('utf-8', 'replace'))}")
        return output or b""

    def _thaw(self) -> None:
        with engine_errors(f"{self.handle.name} cannot be unpaused"):
            self.handle.reload()
        if self._frozen or self.handle.status == "paused":
            order_to(self.handle, "unpause")
        self._run_on()


class ContainerLife:
    """One life of a container, from its start to the end of its output. A `ProcessHandle`."""

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
                self.paused = False  # the engine thaws it, so that it can end
                self._container.order("kill", self._container.drain if number == signal.SIGTERM else number.name)
        return True

    async def over(self) -> None:
        await self._over.wait()

    def start(self, node_spec: NodeSpec, environment: Mapping[str, str]) -> None:
        """Start the container and return once it runs. Blocks. Raises `EnvironmentFailure`."""
        handle = self._container.handle
        with engine_errors(f"{node_spec.name} cannot be started"):
            self._container.write_environment(environment)
            # Attached before the start, or the first lines of the output would be lost, and with them the sign of `READY`.
            stream = handle.attach(stdout=True, stderr=True, stream=True, logs=False)
            handle.start()
            handle.reload()
        state = handle.attrs["State"]
        self.port = published(handle, self._container.inner_port)
        self.identity = Identity(state["Pid"], state["StartedAt"])
        threading.Thread(
            target=self._follow, args=(node_spec, stream), name=f"{node_spec.name} output", daemon=True
        ).start()

    def _follow(self, node_spec: NodeSpec, stream: Any) -> None:
        """Copy the output to the node's log; its end is the end of this life."""
        try:
            with node_spec.log.open("ab", buffering=0) as log:
                for chunk in stream:
                    self.ready = self.ready or READY.search(chunk) is not None
                    log.write(chunk)
            self._container.handle.wait()
        except Exception as error:  # noqa: BLE001  an error that ends a thread would be lost
            self._container.trouble.append(f"the output of {node_spec.name} cannot be read: {error_line(str(error))}")
        finally:
            close_stream(stream)
            self.paused = False
            self.ended = True
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._over.set)
