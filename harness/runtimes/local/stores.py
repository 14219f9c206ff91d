"""The stores in the plan of a deployment of processes: servers that it starts, one or three copies, or one that is there."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import msgspec

from harness.runtimes.deployment import probe, valkey
from harness.runtimes.deployment.plan import ELECTOR, NodeSpec
from harness.runtimes.deployment.spec import Spec, without_password
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.local.cluster import Cluster
from harness.runtimes.local.managed import HOST, Ground, Manager, StoreServer
from harness.runtimes.local.sentinels import Sentinels
from protocols.copies.replication import CopiesValue, replication

MANAGERS: Mapping[CopiesValue, Callable[[Ground], Manager]] = {"sentinel": Sentinels, "cluster": Cluster}


@dataclass(frozen=True, slots=True)
class PlannedStore:
    """The store of one service, or of several. `urls`, with passwords, are those of its servers."""

    name: str
    servers: tuple[NodeSpec, ...]
    urls: tuple[str, ...]

    def address(self, via: Callable[[str, int], int] = lambda _name, port: port) -> str:
        """Return the URLs of all servers, separated by spaces. `via(server, port)`: the port by which it is reached."""
        return " ".join(
            url.replace(f"@{HOST}:{server.port}/", f"@{HOST}:{via(server.name, server.port)}/")
            if server.command
            else url
            for server, url in zip(self.servers, self.urls, strict=True)
        )


class StorePlanner:
    """The planner of all stores of one deployment, and of their electors.

    `shared`: variables of every process; `secret`: that of the deployment; `port` returns a free port.
    """

    def __init__(
        self,
        spec: Spec,
        folder: StateFolder,
        shared: Mapping[str, str],
        binary: Path | None,
        port: Callable[[], int],
        secret: str,
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._shared = shared
        self._binary = binary
        self._port = port
        self._manager: Manager | None = None
        if binary is not None and spec.copies in MANAGERS:
            ground = Ground(binary, shared, secret, port, self._data, self._log, self._write)
            self._manager = MANAGERS[spec.copies](ground)

    def store(self, service: str) -> PlannedStore:
        """Plan the store of a service. Raises `EnvironmentFailure` for an unusable server of `store_urls`."""
        name = f"{service}-store"
        if service in self._spec.store_urls:
            url = self._spec.store_urls[service]
            valkey.check_server(service, url)
            return PlannedStore(name, (self._foreign(name, service, url),), (url,))
        copies = self._spec.servers
        names = [f"{name}-{number}" for number in range(1, copies + 1)] if copies > 1 else [name]
        password = token_hex(16)  # one for all copies, which follow each other
        planned = [
            StoreServer(server, name, number, self._port(), password, self._data(server))
            for number, server in enumerate(names, start=1)
        ]
        if self._manager is not None:
            for server in planned:
                self._manager.add(server)
        servers = tuple(self._server(server, service) for server in planned)
        return PlannedStore(name, servers, tuple(f"redis://:{password}@{HOST}:{server.port}/0" for server in servers))

    def electors(self, stores: Iterable[PlannedStore]) -> tuple[NodeSpec, ...]:
        """Plan the electors of these stores: ours, those of a manager, or none."""
        if self._manager is not None:
            return tuple(self._manager.nodes())
        return (self._elector(stores),) if self._spec.elected else ()

    def managed(self, store: PlannedStore) -> str:
        """Return the value of `WDM_STORE_MANAGED` for the services of a store; "" without a manager."""
        return msgspec.json.encode(self._manager.managed(store.name)).decode() if self._manager else ""

    def _elector(self, stores: Iterable[PlannedStore]) -> NodeSpec:
        port = self._port()
        copies = {
            store.name: {server.name: url for server, url in zip(store.servers, store.urls, strict=True)}
            for store in stores
        }
        return NodeSpec(
            name=ELECTOR,
            kind="elector",
            service="",
            url=f"http://{HOST}:{port}",
            port=port,
            command=(sys.executable, "-P", "-m", "protocols.service.copies"),
            environment={
                **self._shared,
                "WDM_COPIES": json.dumps(copies),
                "WDM_LISTEN": f"{HOST}:{port}",
                "WDM_ABLATE": ",".join(self._spec.ablate),
            },
            log=self._folder.logs / f"{ELECTOR}.log",
            serves=probe.http(port),
        )

    def _server(self, server: StoreServer, service: str) -> NodeSpec:
        spec, folder, manager, name, data = self._spec, self._folder, self._manager, server.name, server.data
        words = valkey.FOLLOW_NOBODY if spec.elected and "follow-nobody" not in spec.ablate else ()
        first = True

        def prepare() -> None:
            nonlocal first
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Once: a copy keeps its promise to an elector in this file, or its role.
            if first:
                folder.write_private(f"conf/{name}.conf", self._configuration(server).encode())
                if manager is not None:
                    manager.prepare(server)
                first = False

        return NodeSpec(
            name=name,
            kind="store",
            service=service,
            url=f"redis://{HOST}:{server.port}/0",
            port=server.port,
            command=(str(self._binary), str(folder.path / "conf" / f"{name}.conf"), *words),
            environment=self._shared,
            log=self._log(name),
            serves=manager.probe(server) if manager else probe.store(server.port, server.password),
            prepare=prepare,
        )

    def _configuration(self, server: StoreServer) -> str:
        own = valkey.elector_user(server.password) if self._spec.elected else ""
        if self._manager is not None:
            own = self._manager.lines(server)
        return valkey.configuration(
            port=server.port,
            password=server.password,
            data=server.data,
            durability=self._spec.durability,
            memory_mb=self._spec.store_memory_mb,
            copied=self._spec.servers > 1,
            own=own,
        )

    def _write(self, path: Path, text: str) -> None:
        self._folder.write_private(str(path), text.encode())

    def _data(self, name: str) -> Path:
        return data_folder(self._spec, self._folder, name)

    def _log(self, name: str) -> Path:
        return self._folder.logs / f"{name}.log"

    def _foreign(self, name: str, service: str, url: str) -> NodeSpec:
        async def serves() -> bool:
            return True  # it was checked while planning, and has no supervisor here

        log = self._folder.logs / f"{name}.log"
        return NodeSpec(name, "store", service, without_password(url), 0, (), {}, log, serves)


def data_folder(spec: Spec, folder: StateFolder, name: str) -> Path:
    """Return the folder of a store's data, one for each protocol: none can finish the transactions of another.

    A manager's copies have folders of their own as well: their keys, and the newest of them, are other ones.
    """
    manager = f"-{spec.copies}" if replication(spec.copies).best_effort else ""
    return folder.path / "data" / f"{spec.protocol}{manager}" / name
