"""The state folder of one deployment: its supervisor, its nodes, its logs, its data.

`lock` is held (`flock`) by the supervisor for its whole life; the kernel releases it at any end of the supervisor,
so a killed one is noticed; its time of change is renewed every second, so a supervisor that hangs is noticed as well.
`deployment.json` lists the nodes that were started; it holds secrets and only its owner can read it.
"""

import errno
import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

import msgspec

from harness.errors import EnvironmentFailure
from harness.runtimes.base import Kind, Node, Order, State
from harness.runtimes.deployment import registry
from harness.runtimes.deployment.process import Identity, alive, identify, paused
from harness.runtimes.deployment.registry import expanded
from harness.runtimes.deployment.spec import Spec
from protocols.backoff import Backoff

DEFAULT = ".wdm"
STATUS = "deployment.json"
BLOCK = 4_096
FULL = (errno.ENOSPC, errno.EDQUOT)
READ_TRIES = 5
READ_AGAIN_MS, LONGEST_READ_AGAIN_MS = 5.0, 20.0


class Record(msgspec.Struct, kw_only=True):
    """A node as it was last recorded."""

    name: str
    kind: Kind
    service: str
    url: str
    port: int
    state: State = "down"
    pid: int | None = None
    started: str = ""

    @property
    def identity(self) -> Identity | None:
        return None if self.pid is None else Identity(self.pid, self.started)

    def node(self) -> Node:
        """Return the node as it is now: it may have died since it was recorded."""
        identity = self.identity
        if self.kind == "store" and identity is None and self.port == 0:
            outside: frozenset[Order] = frozenset()  # a server from `store_urls`
            return Node(self.name, self.kind, self.service, None, self.url, self.state, outside)
        if identity is None or not alive(identity):
            return Node(self.name, self.kind, self.service, None, self.url, "down")
        state: State = "paused" if paused(identity) else self.state
        return Node(self.name, self.kind, self.service, identity.pid, self.url, state)


class DeploymentRecord(msgspec.Struct, kw_only=True):
    """A running deployment as other processes need it, in `deployment.json`."""

    tag: str
    phase: Literal["starting", "up", "stopping"]
    supervisor: int
    gateway: str
    spec: Spec
    secret: str
    store_urls: dict[str, str]
    nodes: list[Record]
    runtime: str = "local"


class StateFolder:
    """The state folder at `path`, which is made when a supervisor takes it. All paths are absolute."""

    def __init__(self, path: Path) -> None:
        self.path = expanded(path).absolute()
        self.logs = self.path / "logs"
        self._lock: IO[str] | None = None

    # ------------------------------------------------------------ the supervisor's side

    def take(self) -> None:
        """Lock the folder for this process. Raises `EnvironmentFailure` if it has a supervisor or cannot be written."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise self._unusable(error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise self.already() from None
        identity = identify(os.getpid())
        try:
            lock.truncate(0)
            lock.write(f"{os.getpid()} {identity.started if identity else ''}\n")
            lock.flush()
        except OSError as error:
            with suppress(OSError):
                lock.close()
            raise self._unusable(error) from None
        self._lock = lock
        with suppress(OSError):  # the list only serves `wdm down --all`; this folder is found without it
            registry.remember(self.path)

    def _unusable(self, error: OSError) -> EnvironmentFailure:
        return EnvironmentFailure(f"state folder {self.path} cannot be used: {error.strerror}")

    def already(self) -> EnvironmentFailure:
        """Return the error for a second deployment in this folder."""
        return EnvironmentFailure(
            f"a deployment is already running in {self.path}; stop it with `wdm down --state-dir {self.path}`, "
            "or choose another --state-dir"
        )

    def write(self, deployment: DeploymentRecord) -> None:
        """Replace `deployment.json` in one step, or, on a full disk, overwrite the blocks that it has. Raises `OSError`."""
        text = msgspec.json.format(msgspec.json.encode(deployment), indent=2)
        blocks = len(text) // BLOCK + 1  # whole ones: the next text is likely to fit in as well
        content = text.ljust(blocks * BLOCK)
        try:
            self.write_private(STATUS, content)
        except OSError as error:
            if error.errno not in FULL or not self._overwrite(content):
                raise

    def _overwrite(self, content: bytes) -> bool:
        """Return whether the content fitted. A reader may find half of it, and reads again."""
        with suppress(OSError), (self.path / STATUS).open("r+b") as file:
            if os.fstat(file.fileno()).st_size >= len(content):
                os.pwrite(file.fileno(), content.ljust(os.fstat(file.fileno()).st_size), 0)
                return True
        return False

    def write_private(self, name: str, content: bytes) -> Path:
        """Write a file in this folder that only its owner can read, completely or not at all; return it. Raises `OSError`.

        A file that has this content already stays: a node can be started again while the disk is full.
        """
        final = self.path / name
        with suppress(OSError):
            if final.read_bytes() == content:
                return final
        final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = final.with_name(f".{final.name}.{os.getpid()}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            draft.replace(final)
        except OSError:
            with suppress(OSError):  # half a draft takes space where there is none
                draft.unlink()
            raise
        return final

    def beat(self) -> None:
        """Renew the time of the lock file, as a sign that the supervisor works. It needs no space on the disk."""
        with suppress(OSError):
            os.utime(self.path / "lock")

    def leave(self) -> None:
        """Forget the deployment, of which no node runs any more, and release the lock."""
        self.erase()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def erase(self) -> None:
        """Forget the deployment; its data and logs stay."""
        with suppress(FileNotFoundError):
            (self.path / STATUS).unlink()
        with suppress(OSError):  # `wdm down --all` finds nothing there, and tries again
            registry.forget(self.path)

    # ------------------------------------------------------------ the side of all processes

    def read(self) -> DeploymentRecord | None:
        """Return the recorded deployment, None if there is none. Raises `EnvironmentFailure` for a file of another format."""
        file = self.path / STATUS
        backoff = Backoff(READ_AGAIN_MS, LONGEST_READ_AGAIN_MS)
        for left in reversed(range(READ_TRIES)):
            try:
                return msgspec.json.decode(file.read_bytes(), type=DeploymentRecord)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except (msgspec.MsgspecError, OSError) as error:
                if not left:
                    raise EnvironmentFailure(
                        f"{file} cannot be read ({error}); run `wdm down`, then remove it"
                    ) from None
            time.sleep(backoff.next_s())  # the supervisor may be overwriting it in place, see `_overwrite`
        return None

    def silent_s(self) -> float:
        """Return the seconds since the supervisor's last sign of work; 0 if there is no lock file."""
        with suppress(OSError):
            return max(0.0, time.time() - (self.path / "lock").stat().st_mtime)
        return 0.0

    def supervisor(self) -> Identity | None:
        """Return the process that holds the lock; None if it is free. Raises `EnvironmentFailure` for an unnamed holder."""
        try:
            lock = (self.path / "lock").open("r+")
        except (FileNotFoundError, NotADirectoryError):
            return None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder(lock)
        return None


def _holder(lock: IO[str]) -> Identity:
    """Return the process named in the lock file, which a supervisor writes right after it has taken the lock."""
    for _ in range(100):
        lock.seek(0)
        pid, _, started = lock.read().strip().partition(" ")
        if pid:
            return Identity(int(pid), started)
        time.sleep(0.01)
    raise EnvironmentFailure(f"{lock.name} is locked by an unknown process; find it with `fuser`")
