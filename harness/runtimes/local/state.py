"""The state folder of one deployment: who supervises it, what runs, its logs, its data.

``lock`` is held (``flock``) by the supervisor for its whole life; the kernel lets go of it however the supervisor
ends, so a killed one is noticed. ``deployment.json`` says what was started; it holds secrets and is its owner's only.
"""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

import msgspec

from harness.runtimes.base import EnvironmentFailure, Kind, Node, State
from harness.runtimes.local import places
from harness.runtimes.local.process import Identity, alive, identify, paused
from harness.runtimes.local.spec import Spec

DEFAULT = ".wdm"


class Record(msgspec.Struct, kw_only=True):
    """A node as it was last written down."""

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
        """As it is now: what is written down may have died since."""
        identity = self.identity
        if self.kind == "store" and identity is None and self.port == 0:
            return Node(self.name, self.kind, self.service, None, self.url, self.state)  # somebody else's server
        if identity is None or not alive(identity):
            return Node(self.name, self.kind, self.service, None, self.url, "down")
        state: State = "paused" if paused(identity) else self.state
        return Node(self.name, self.kind, self.service, identity.pid, self.url, state)


class Deployment(msgspec.Struct, kw_only=True):
    """Everything about a running deployment that somebody outside its supervisor needs."""

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
    """``path`` is made when a supervisor takes it. All paths are absolute."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.logs = self.path / "logs"
        self._lock: IO[str] | None = None

    # ------------------------------------------------------------ the supervisor's side

    def take(self) -> None:
        """Become its supervisor. Raises ``EnvironmentFailure`` if it has one already or cannot be written."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            lock = (self.path / "lock").open("a+")
        except OSError as error:
            raise EnvironmentFailure(f"state folder {self.path} cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise self.already() from None
        lock.truncate(0)
        identity = identify(os.getpid())
        lock.write(f"{os.getpid()} {identity.started if identity else ''}\n")
        lock.flush()
        self._lock = lock
        places.remember(self.path)

    def already(self) -> EnvironmentFailure:
        """The refusal of a second deployment here."""
        return EnvironmentFailure(
            f"a deployment is already running in {self.path}; stop it with `wdm down --state-dir {self.path}`, "
            "or choose another --state-dir"
        )

    def write(self, deployment: Deployment) -> None:
        """Replace ``deployment.json`` in one step."""
        self.write_private("deployment.json", msgspec.json.format(msgspec.json.encode(deployment), indent=2))

    def write_private(self, name: str, content: bytes) -> Path:
        """A file in this folder that only its owner can read, complete or not there at all."""
        final = self.path / name
        final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = final.with_name(f".{final.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        draft.replace(final)
        return final

    def leave(self) -> None:
        """Stop being its supervisor; nothing runs any more."""
        self.erase()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def erase(self) -> None:
        """Forget the deployment; its data and logs stay."""
        with suppress(FileNotFoundError):
            (self.path / "deployment.json").unlink()
        places.forget(self.path)

    # ------------------------------------------------------------ everybody's side

    def read(self) -> Deployment | None:
        """What is written down, None if there is nothing. Raises ``EnvironmentFailure`` for a file that is not ours."""
        file = self.path / "deployment.json"
        try:
            return msgspec.json.decode(file.read_bytes(), type=Deployment)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (msgspec.MsgspecError, OSError) as error:
            raise EnvironmentFailure(f"{file} cannot be read ({error}); run `wdm down`, then remove it") from None

    def supervisor(self) -> Identity | None:
        """The process that holds the lock; None if nobody does."""
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
    """Who wrote itself into the lock file; it does so right after taking the lock."""
    for _ in range(100):
        lock.seek(0)
        pid, _, started = lock.read().strip().partition(" ")
        if pid:
            return Identity(int(pid), started)
        time.sleep(0.01)
    raise EnvironmentFailure(f"{lock.name} is locked by a process that does not say who it is; find it with `fuser`")
