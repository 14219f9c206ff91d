"""Kafka as a child process: nodes that are brokers and controllers at once (KRaft), from jars that Maven fetched.

The broker advertises its own addresses to its clients. It has one listener for each client, with another advertised address,
as each client reaches it through a proxy of its own.
"""

import shutil
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment import jars, probe
from harness.runtimes.local.brokers.base import HOST, Broker, BrokerSetting

HEAP = ("-Xms128m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
SMALL_HEAP = ("-Xms64m", "-Xmx224m", *HEAP[2:])
"""Of each of several nodes."""

INTERNAL = "internal"
"""The listener for the other nodes, which no proxy is in front of."""

# Formats its log the first time, then becomes the broker: the process that is signalled is the one that serves.
START = """\
java=$1 jars=$2 properties=$3 id=$4 data=$5; shift 5
[ -f "$data/meta.properties" ] || "$java" "$@" -cp "$jars/*" kafka.tools.StorageTool format --cluster-id="$id" -c "$properties"
exec "$java" "$@" -cp "$jars/*" kafka.Kafka "$properties"
"""
API_VERSIONS = bytes.fromhex(
    "0000000a 0012 0000 00000007 ffff"
)  # size, key 18, version 0, correlation id 7, no client id
CORRELATION = bytes.fromhex("00000007")


def find() -> str:
    """Return the version and the folder of Kafka. Raises `EnvironmentFailure` without Java or the jars."""
    _java()
    if not jars.fetched():
        raise EnvironmentFailure(
            f"Kafka is not on this machine: run `{jars.COMMAND}` (it needs Maven and Java 17), or use another --transport"
        )
    return f"Kafka {jars.VERSION} in {jars.folder()}"


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise EnvironmentFailure("Kafka needs Java 17 (Debian: apt-get install openjdk-17-jre-headless maven)")
    return java


def plan_brokers(settings: Sequence[BrokerSetting]) -> Sequence[Broker]:
    """Plan the nodes of a Kafka broker. Raises as `find` does."""
    find()
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    controllers = [setting.port() for setting in settings]
    return [_plan_broker(setting, number, cluster, controllers) for number, setting in enumerate(settings, start=1)]


def _plan_broker(setting: BrokerSetting, number: int, cluster: str, controllers: Sequence[int]) -> Broker:
    """Plan the node of this `number`. `controllers`: the ports of all nodes for their elections."""
    ports = {name: setting.port() for name in setting.clients}
    advertised_ports = {name: setting.via(name, port) for name, port in ports.items()}
    text = _properties(setting, number, controllers, ports | {INTERNAL: setting.port()}, advertised_ports)
    properties = setting.private("kafka.properties", text)
    first = next(iter(ports.values()))
    heap = HEAP if len(controllers) == 1 else SMALL_HEAP
    arguments = (_java(), str(jars.folder()), str(properties), cluster, str(setting.data), *heap)
    return Broker(
        command=("/bin/sh", "-c", START, "kafka", *arguments),
        environment={},
        port=first,
        shown=f"kafka://{HOST}:{first}",
        urls={name: f"kafka://{HOST}:{port}" for name, port in advertised_ports.items()},
        serves=probe.answers(first, API_VERSIONS, CORRELATION, skip=4),
    )


def _properties(
    setting: BrokerSetting,
    number: int,
    controllers: Sequence[int],
    ports: Mapping[str, int],
    advertised_ports: Mapping[str, int],
) -> str:
    """Return the configuration of one node: with three of them, each record is in two before it is acknowledged."""
    nodes, controller = len(controllers), controllers[number - 1]
    voters = ",".join(f"{voter}@{HOST}:{port}" for voter, port in enumerate(controllers, start=1))
    names = {name: name.upper().replace("-", "_") for name in ports}
    listeners = [f"{names[name]}://{HOST}:{port}" for name, port in ports.items()]
    advertised = [f"{names[name]}://{HOST}:{port}" for name, port in {**ports, **advertised_ports}.items()]
    plain = ",".join(f"{name}:PLAINTEXT" for name in (*names.values(), "CONTROLLER"))
    every = {"always": "log.flush.interval.messages=1\n", "everysec": "log.flush.interval.ms=1000\n"}[
        setting.durability
    ]
    return f"""\
process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners={",".join((*listeners, f"CONTROLLER://{HOST}:{controller}"))}
advertised.listeners={",".join(advertised)}
listener.security.protocol.map={plain}
inter.broker.listener.name={names[INTERNAL]}
log.dirs={setting.data}
{every}auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor={nodes}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={nodes}
transaction.state.log.min.isr={nodes // 2 + 1}
min.insync.replicas={nodes // 2 + 1}
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=200
controller.quorum.election.backoff.max.ms=100
num.network.threads=1
num.io.threads=4
log.retention.ms=600000
log.segment.bytes=16777216
log.cleaner.dedupe.buffer.size=2097152
"""
