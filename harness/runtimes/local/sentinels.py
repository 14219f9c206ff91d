"""`--copies sentinel`: three Sentinels, which are the same binary, choose the primaries of all stores."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from harness.runtimes.deployment import probe
from harness.runtimes.deployment.plan import NodeSpec
from harness.runtimes.deployment.probe import Probe
from harness.runtimes.local.managed import HOST, NODE_TIMEOUT_MS, Ground, StoreServer, node_id
from protocols.copies.managed import ManagedStore

SENTINELS = tuple(f"sentinel-{number}" for number in (1, 2, 3))
QUORUM = 2
FAILOVER_WITHIN_MS = 3_000
"""A Sentinel tries a failover that has failed again after twice this time."""

_SERVER = "# server {} {}"
_SERVERS = re.compile(r"^# server (\S+) (\S+)$", re.MULTILINE)
_PRIMARIES = re.compile(r"^sentinel monitor (\S+) (\S+) (\d+) ", re.MULTILINE)

_EPOCHS = re.compile(r"^sentinel config-epoch (\S+) (\d+)", re.MULTILINE)


class Sentinels:
    """A `Manager`: three Sentinels."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._servers: dict[str, list[StoreServer]] = {}
        self._ports = {name: ground.port() for name in SENTINELS}
        self._last = last_primaries(map(self._file, SENTINELS))

    def add(self, server: StoreServer) -> None:
        self._servers.setdefault(server.store, []).append(server)

    def lines(self, server: StoreServer) -> str:
        primary = self._primary(server.store)
        return "" if server is primary else f"replicaof {HOST} {primary.port}\n"

    def prepare(self, server: StoreServer) -> None:
        """Do nothing: all is in the configuration of the server."""

    def probe(self, server: StoreServer) -> Probe:
        return probe.store(server.port, server.password)

    def managed(self, store: str) -> ManagedStore:
        urls = tuple(f"redis://:{self._ground.secret}@{HOST}:{port}/0" for port in self._ports.values())
        return ManagedStore("sentinel", store, tuple(server.at for server in self._servers[store]), urls)

    def nodes(self) -> Iterator[NodeSpec]:
        for name, port in self._ports.items():
            yield self._node(name, port)

    def _primary(self, store: str) -> StoreServer:
        """Return the server that was the primary at the end of the last deployment, or the first one."""
        servers = self._servers[store]
        return next((server for server in servers if server.name == self._last.get(store)), servers[0])

    def _node(self, name: str, port: int) -> NodeSpec:
        ground, file, first = self._ground, self._file(name), True

        def prepare() -> None:
            nonlocal first
            if first:  # from then on the Sentinel keeps its own state in it
                ground.write(file, self._configuration(name, port))
                first = False

        return NodeSpec(
            name=name,
            kind="elector",
            service="",
            url=f"redis://{HOST}:{port}",
            port=port,
            command=(str(ground.binary), str(file), "--sentinel"),
            environment=ground.shared,
            log=ground.log(name),
            serves=probe.sentinel(port, ground.secret, tuple(self._servers)),
            prepare=prepare,
        )

    def _file(self, name: str) -> Path:
        return self._ground.data(name) / "sentinel.conf"

    def _configuration(self, name: str, port: int) -> str:
        lines = [
            *(_SERVER.format(server.name, server.at) for servers in self._servers.values() for server in servers),
            f"bind {HOST}",
            f"port {port}",
            "protected-mode yes",
            f"requirepass {self._ground.secret}",
            "daemonize no",
            "set-proc-title no",
            f'dir "{self._ground.data(name)}"',
            f"sentinel myid {node_id(name)}",
            f"sentinel sentinel-pass {self._ground.secret}",
        ]
        for store, servers in self._servers.items():
            primary = self._primary(store)
            lines += [
                f"sentinel monitor {store} {HOST} {primary.port} {QUORUM}",
                f"sentinel auth-pass {store} {primary.password}",
                f"sentinel down-after-milliseconds {store} {NODE_TIMEOUT_MS}",
                f"sentinel failover-timeout {store} {FAILOVER_WITHIN_MS}",
                f"sentinel parallel-syncs {store} {len(servers) - 1}",
                *(
                    f"sentinel known-replica {store} {HOST} {server.port}"
                    for server in servers
                    if server is not primary
                ),
                *(
                    f"sentinel known-sentinel {store} {HOST} {port} {node_id(other)}"
                    for other, port in self._ports.items()
                    if other != name
                ),
            ]
        return "\n".join((*lines, ""))


def last_primaries(files: Iterable[Path]) -> Mapping[str, str]:
    """Return the name of the primary of each store in the newest configuration of former Sentinels; of missing files none."""
    newest: dict[str, tuple[int, str]] = {}
    for file in files:
        with suppress(OSError):
            text = file.read_text("utf-8")
            names = {at: name for name, at in _SERVERS.findall(text)}
            epochs = dict(_EPOCHS.findall(text))
            for store, host, port in _PRIMARIES.findall(text):
                known = int(epochs.get(store, 0)), names.get(f"{host}:{port}", "")
                newest[store] = max(newest.get(store, known), known)
    return {store: name for store, (_, name) in newest.items()}
