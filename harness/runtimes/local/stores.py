"""The stores in the plan of a deployment of processes: servers that it starts, one or three copies, or one that is there."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from harness.runtimes.deployment import probe, valkey
from harness.runtimes.deployment.plan import ELECTOR, NodeSpec
from harness.runtimes.deployment.spec import Spec, without_password
from harness.runtimes.deployment.state import StateFolder
from protocols.copies import COPIES

HOST = "127.0.0.1"


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
    """The planner of all stores of one deployment. `shared`: variables of every process; `port` returns a free one."""

    def __init__(
        self,
        spec: Spec,
        folder: StateFolder,
        shared: Mapping[str, str],
        binary: Path | None,
        port: Callable[[], int],
    ) -> None:
        self._spec = spec
        self._folder = folder
        self._shared = shared
        self._binary = binary
        self._port = port

    def store(self, service: str) -> PlannedStore:
        """Plan the store of a service. Raises `EnvironmentFailure` for an unusable server of `store_urls`."""
        name = f"{service}-store"
        if service in self._spec.store_urls:
            url = self._spec.store_urls[service]
            valkey.check_server(service, url)
            return PlannedStore(name, (self._foreign(name, service, url),), (url,))
        copies = self._spec.copies
        names = [f"{name}-{number}" for number in range(1, copies + 1)] if copies == COPIES else [name]
        password = token_hex(16)  # one for all copies, which follow each other
        servers = tuple(self._server(server, service, password) for server in names)
        return PlannedStore(name, servers, tuple(f"redis://:{password}@{HOST}:{server.port}/0" for server in servers))

    def elector(self, stores: Iterable[PlannedStore]) -> NodeSpec:
        """Plan the elector of these stores."""
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

    def _server(self, name: str, service: str, password: str) -> NodeSpec:
        spec, folder, port = self._spec, self._folder, self._port()
        data = data_folder(spec, folder, name)
        text = valkey.configuration(
            port=port,
            password=password,
            data=data,
            durability=spec.durability,
            memory_mb=spec.store_memory_mb,
            copied=spec.copies > 1,
        )
        words = valkey.FOLLOW_NOBODY if spec.copies > 1 and "follow-nobody" not in spec.ablate else ()
        first = True

        def prepare() -> None:
            nonlocal first
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Once: a copy keeps its promise to an elector in this file.
            if first:
                folder.write_private(f"conf/{name}.conf", text.encode())
                first = False

        return NodeSpec(
            name=name,
            kind="store",
            service=service,
            url=f"redis://{HOST}:{port}/0",
            port=port,
            command=(str(self._binary), str(folder.path / "conf" / f"{name}.conf"), *words),
            environment=self._shared,
            log=folder.logs / f"{name}.log",
            serves=probe.store(port, password),
            prepare=prepare,
        )

    def _foreign(self, name: str, service: str, url: str) -> NodeSpec:
        async def serves() -> bool:
            return True  # it was checked while planning, and has no supervisor here

        log = self._folder.logs / f"{name}.log"
        return NodeSpec(name, "store", service, without_password(url), 0, (), {}, log, serves)


def data_folder(spec: Spec, folder: StateFolder, name: str) -> Path:
    """Return the folder of a store's data, one for each protocol: none can finish the transactions of another."""
    return folder.path / "data" / spec.protocol / name
