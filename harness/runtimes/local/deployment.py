"""A local shop inside this process's event loop: for tests, the demo and whatever breaks a shop on purpose."""

import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.runtimes.base import Node
from harness.runtimes.local.spec import Spec
from harness.runtimes.local.state import StateFolder
from harness.runtimes.local.supervisor import Supervisor


class LocalDeployment:
    """A ``Runtime``. Without a ``state_dir`` it lives in a temporary folder that is gone afterwards.

    ``async with LocalDeployment(Spec(protocol="2pc")) as shop`` brings it up and takes it down, whatever happens.
    """

    def __init__(
        self, spec: Spec, state_dir: Path | None = None, *, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.spec = spec
        self._temporary = None if state_dir else Path(tempfile.mkdtemp(prefix="wdm-"))
        self.folder = StateFolder(state_dir or self._temporary or Path())
        self._supervisor = Supervisor(spec, self.folder, say)
        self._up = False

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()

    # ------------------------------------------------------------ the runtime's port

    @property
    def url(self) -> str:
        return self._supervisor.plan.gateway.url

    async def up(self) -> None:
        try:
            await self._supervisor.start()
        except BaseException:
            self._remove_temporary()
            raise
        self._up = True

    async def down(self) -> None:
        if self._up:
            self._up = False
            await self._supervisor.stop()
        self._remove_temporary()

    def nodes(self) -> tuple[Node, ...]:
        return self._supervisor.nodes()

    def kill(self, name: str, *, stay_down: bool = False) -> None:
        self._supervisor.kill(name, stay_down=stay_down)

    def terminate(self, name: str) -> None:
        """Ask a node to stop, as an operator or a container engine does; it is started again as after any other end."""
        self._supervisor.signal(name, signal.SIGTERM)

    def pause(self, name: str) -> None:
        self._supervisor.signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self._supervisor.signal(name, signal.SIGCONT)

    async def restart(self, name: str) -> None:
        await self._supervisor.restart(name)

    # ------------------------------------------------------------ what only this runtime knows

    @property
    def secret(self) -> str:
        """What services show each other, for ``/internal`` of a service's own address."""
        return self._supervisor.plan.secret

    def node(self, name: str) -> Node:
        """Raises ``KeyError`` naming the nodes there are."""
        found = {node.name: node for node in self.nodes()}
        if name not in found:
            raise KeyError(f"no node {name!r}; there are: {', '.join(found)}")
        return found[name]

    def store_url(self, service: str) -> str:
        """The address of a service's store, with its password."""
        return self._supervisor.plan.store_urls[service]

    def log(self, name: str) -> Path:
        """The file with what the node said, over all its lives."""
        return self.folder.logs / f"{name}.log"

    async def serving(self, name: str, within_s: float = 10.0) -> None:
        """Return once the node serves, now or after its respawn. Raises ``EnvironmentFailure`` after ``within_s``."""
        await self._supervisor.serving(name, within_s)

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
