"""`--copies cluster`: one Valkey Cluster for the shop, in which each store is a shard of one primary and two replicas.

Only primaries with slots vote, and a failover needs the votes of most of them. So one store alone could never replace its
primary. Three stores vote for each other; a shop with fewer has further primaries, the voters, to make them three.

A shard owns the slots from that of its own name up to that of the next one, so its name is a hash tag for all of its keys. The
commands of a store use many keys each, and those of one command must be in one slot.
"""

import re
from binascii import crc_hqx
from collections.abc import Iterator, Mapping

from harness.runtimes.deployment import probe, valkey
from harness.runtimes.deployment.plan import NodeSpec
from harness.runtimes.deployment.probe import Probe
from harness.runtimes.local.managed import HOST, NODE_TIMEOUT_MS, Ground, StoreServer, node_id
from protocols.copies.managed import ManagedStore

SLOTS = 16_384
VOTING = 3
FILE = "nodes.conf"
_ADDRESS = re.compile(r"^(\w{40}) [^, ]*", re.MULTILINE)
_SUSPECTED = re.compile(r",(?:fail\??|handshake|noaddr)")


class Cluster:
    """A `Manager`: the nodes of a cluster."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._servers: dict[str, list[StoreServer]] = {}
        self._ports: dict[str, int] = {}
        """The port of each node's bus, by name."""
        self._voters: list[StoreServer] | None = None

    def add(self, server: StoreServer) -> None:
        self._servers.setdefault(server.store, []).append(server)
        self._ports[server.name] = self._ground.port()

    def lines(self, server: StoreServer) -> str:
        return f"""\
cluster-enabled yes
cluster-config-file {FILE}
cluster-port {self._ports[server.name]}
cluster-node-timeout {NODE_TIMEOUT_MS}
# A shard without a primary must not stop the others, nor take a replica from them.
cluster-require-full-coverage no
cluster-allow-replica-migration no
"""

    def prepare(self, server: StoreServer) -> None:
        """Write the nodes as they are at first, or the present addresses into those of a former deployment."""
        self.voters()
        file = server.data / FILE
        try:
            text = readdressed(file.read_text("utf-8"), {node_id(one.name): self._at(one) for one in self._all()})
        except OSError:
            text = self._nodes(server)
        self._ground.write(file, text)

    def probe(self, server: StoreServer) -> Probe:
        return probe.cluster(server.port, server.password)

    def managed(self, store: str) -> ManagedStore:
        servers = tuple(server.at for server in self._servers[store])
        return ManagedStore("cluster", store, servers, key_prefix=f"{{{store}}}")

    def nodes(self) -> Iterator[NodeSpec]:
        for voter in self.voters():
            yield self._voter_node(voter)

    def voters(self) -> list[StoreServer]:
        """Return the primaries without a store, which are there to vote."""
        if self._voters is None:
            password = next(iter(self._servers.values()))[0].password
            names = [f"voter-{number}" for number in range(1, VOTING - len(self._servers) + 1)]
            self._voters = [
                StoreServer(name, name, 1, self._ground.port(), password, self._ground.data(name)) for name in names
            ]
            for voter in self._voters:
                self._ports[voter.name] = self._ground.port()
        return self._voters

    def _all(self) -> list[StoreServer]:
        return [*(server for servers in self._servers.values() for server in servers), *self.voters()]

    def _at(self, server: StoreServer) -> str:
        return f"{server.at}@{self._ports[server.name]}"

    def _nodes(self, own: StoreServer) -> str:
        """Return the file of the server `own`: each first server of a store is its primary."""
        servers = self._all()
        shards = list(dict.fromkeys(server.store for server in servers))
        owned = slot_ranges(shards)
        first = {server.store: server for server in reversed(servers)}
        lines = []
        for server in servers:
            primary = first[server.store]
            role = "master -" if server is primary else f"slave {node_id(primary.name)}"
            flags, follows = role.split()
            lines.append(
                f"{node_id(server.name)} {self._at(server)},,shard-id={node_id(server.store)} "
                f"{'myself,' if server is own else ''}{flags} {follows} 0 0 {shards.index(server.store) + 1} connected"
                f"{f' {owned[server.store]}' if server is primary else ''}"
            )
        return "\n".join((*lines, f"vars currentEpoch {len(shards)} lastVoteEpoch 0", ""))

    def _voter_node(self, voter: StoreServer) -> NodeSpec:
        ground, file, first = self._ground, voter.data / "valkey.conf", True
        text = valkey.configuration(
            port=voter.port,
            password=voter.password,
            data=voter.data,
            durability="everysec",
            copied=True,
            own=self.lines(voter),
        )

        def prepare() -> None:
            nonlocal first
            if first:
                ground.write(file, text)
                self.prepare(voter)
                first = False

        return NodeSpec(
            name=voter.name,
            kind="elector",
            service="",
            url=f"redis://{HOST}:{voter.port}",
            port=voter.port,
            command=(str(ground.binary), str(file)),
            environment=ground.shared,
            log=ground.log(voter.name),
            serves=self.probe(voter),
            prepare=prepare,
        )


def slot(tag: str) -> int:
    """Return the slot of the keys with this hash tag (CRC16 XMODEM, as in the specification of Redis Cluster)."""
    return crc_hqx(tag.encode(), 0) % SLOTS


def slot_ranges(shards: list[str]) -> Mapping[str, str]:
    """Return the slots of each shard, as `0-99`: from the slot of its name up to the next one's; together they are all."""
    ordered = sorted(shards, key=slot)
    begins = [0, *map(slot, ordered[1:])]
    ends = [*(begin - 1 for begin in begins[1:]), SLOTS - 1]
    return {shard: f"{begin}-{end}" for shard, begin, end in zip(ordered, begins, ends, strict=True)}


def readdressed(text: str, addresses: Mapping[str, str]) -> str:
    """Return a file of nodes with the present address of each node by its id, and without suspicions."""
    text = _ADDRESS.sub(lambda line: f"{line[1]} {addresses.get(line[1], '')}", text)
    return _SUSPECTED.sub("", text)
