"""RabbitMQ as a child process: the server's own start script, no plugin, no epmd, nodes with names of their own.

Erlang's nodes ask epmd, a name service on all interfaces, for each other's ports. Without it, all nodes of one cluster have the
same port (`-erl_epmd_port`), each on an address of its own: 127.0.0.1, 127.0.0.2 and so on. Their hosts are called `broker-1`,
`broker-2` and so on in a file of Erlang's resolver (`inetrc`).
"""

import os
import re
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from zlib import crc32

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment import probe
from harness.runtimes.deployment.plan import BROKER_USER
from harness.runtimes.local.brokers.base import HOST, Broker, BrokerSetting

HOME = "RABBITMQ_HOME"
DEBIAN = Path("/usr/lib/rabbitmq")
GET_IT = "install it (Debian: apt-get install rabbitmq-server; macOS: brew install rabbitmq)"
HELLO, GREETING = b"AMQP\x00\x00\x09\x01", b"\x01\x00\x00"  # a method on channel 0: Connection.Start
KEPT_IN = "wdm-password"  # in the folder of the data
MEMORY_MB = 512
DISK_MB = 50
TICK_S = 4
POLL_MS = 500


def find() -> str:
    """Return the version of RabbitMQ, or its script. Raises `EnvironmentFailure` without a server or Erlang."""
    script = _script()
    versions = [re.search(r"rabbitmq_server-([\d.]+)", str(path)) for path in script.parents[1].glob("lib/*_server-*")]
    named = re.search(r"rabbitmq_server-([\d.]+)", str(script.resolve()))
    known = next((path for path in (*versions, named) if path), None)
    return f"RabbitMQ {known.group(1)}" if known else f"RabbitMQ, {script}"


def _script() -> Path:
    """Return the server's own script: the one that Debian puts on PATH requires another user."""
    home, on_path = os.environ.get(HOME), shutil.which("rabbitmq-server")
    homes = (Path(home) if home else None, DEBIAN, Path(on_path).resolve().parents[1] if on_path else None)
    for folder in homes:
        for place in ("sbin", "bin"):
            script = folder / place / "rabbitmq-server" if folder else None
            if script and script.is_file() and shutil.which("erl"):
                return script
    raise EnvironmentFailure(f"RabbitMQ is not on this machine: {GET_IT}, or set {HOME}; or use another --transport")


def plan_brokers(settings: Sequence[BrokerSetting]) -> Sequence[Broker]:
    """Plan the nodes of a RabbitMQ broker. Raises as `find` does, and `EnvironmentFailure` without an address for each node."""
    script, password = _script(), _password(settings[0].data)
    distribution, unused = settings[0].port(), settings[0].port()
    hosts = _hosts(settings)
    # RabbitMQ stores its data under the node's name, and no two nodes of a machine may have the same name.
    names = [f"wdm-{crc32(str(settings[0].data).encode()):08x}@{host}" for host in hosts]
    together = _together(settings[0], hosts) if len(hosts) > 1 else {}
    brokers = []
    for setting, name, address in zip(settings, names, hosts.values(), strict=True):
        port = setting.port()
        configuration = setting.private("rabbitmq.conf", _configuration(port, password) + _cluster(names))
        plugins = setting.private("rabbitmq-plugins", "[].\n")
        environment = _environment(name, setting.data, configuration, plugins, unused) | together
        brokers.append(
            Broker(
                command=(str(script),),
                environment=environment | _distribution(name, address, distribution),
                port=port,
                shown=f"amqp://{HOST}:{port}/",
                urls={
                    client: f"amqp://{BROKER_USER}:{password}@{HOST}:{setting.via(client, port)}/"
                    for client in setting.clients
                },
                serves=probe.answers(port, HELLO, GREETING),
            )
        )
    return brokers


def _password(data: Path) -> str:
    """Return the password of the broker's user, which RabbitMQ keeps with its data: that of before, or a new one."""
    file = data / KEPT_IN
    if file.is_file() and (kept := file.read_text().strip()):
        return kept
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = token_hex(16)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
        written.write(password)
    return password


def _hosts(settings: Sequence[BrokerSetting]) -> dict[str, str]:
    """Return the address of each node's host, by the host's name. Raises `EnvironmentFailure` if this machine lacks one."""
    if len(settings) == 1:
        return {"localhost": HOST}
    hosts = {setting.name: f"127.0.0.{number}" for number, setting in enumerate(settings, start=1)}
    for address in hosts.values():
        try:
            with socket.socket() as listening:
                listening.bind((address, 0))
        except OSError as error:
            raise EnvironmentFailure(
                f"{len(settings)} nodes of RabbitMQ need an address of loopback each, and {address} cannot be used: "
                f"{error.strerror}; leave --brokers out (macOS: `sudo ifconfig lo0 alias {address}`)"
            ) from None
    return hosts


def _together(setting: BrokerSetting, hosts: dict[str, str]) -> dict[str, str]:
    """Return the variables that all nodes of a cluster have: the names of its hosts, and the folder of its shared secret."""
    lines = [f'{{host, {{{address.replace(".", ",")}}}, ["{host}"]}}.' for host, address in hosts.items()]
    resolver = setting.private("inetrc", "\n".join((*lines, "{lookup, [file, native]}.", "")))
    cookie = setting.private("erlang/.erlang.cookie", token_hex(16))
    return {"ERL_INETRC": str(resolver), "HOME": str(cookie.parent)}


def _cluster(names: Sequence[str]) -> str:
    """Return the configuration of a node that joins the others at its first start; empty for the only one."""
    if len(names) == 1:
        return ""
    nodes = [f"cluster_formation.classic_config.nodes.{number} = {name}" for number, name in enumerate(names, start=1)]
    # A node that was paused would stay apart from the others for good; as a minority, it starts itself anew.
    rules = ("cluster_formation.peer_discovery_backend = classic_config", "cluster_partition_handling = pause_minority")
    return "\n".join((*rules, *nodes, ""))


def _distribution(name: str, address: str, port: int) -> dict[str, str]:
    """Return the variables of the connections between Erlang nodes."""
    interface = f"{{{address.replace('.', ',')}}}"
    noticed = f"-kernel net_ticktime {TICK_S} -aten poll_interval {POLL_MS}"  # of a node that does not answer
    return {
        "RABBITMQ_DIST_PORT": str(port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-sname {name} -erl_epmd_port {port} "
        f"-kernel inet_dist_use_interface {interface} {noticed} +sbwt none +sbwtdcpu none +sbwtdio none",
    }


def _configuration(port: int, password: str) -> str:
    return f"""\
listeners.tcp.default = {HOST}:{port}
default_user = {BROKER_USER}
default_pass = {password}
log.console = true
log.console.level = warning
log.file = false
vm_memory_high_watermark.absolute = {MEMORY_MB}MB
disk_free_limit.absolute = {DISK_MB}MB
"""


def _environment(name: str, data: Path, configuration: Path, plugins: Path, unused: int) -> dict[str, str]:
    """Return the variables of the server. `unused`: a port without a listener, in place of the name service's (epmd): the
    one of this machine must not list this broker.
    """
    return {
        "HOME": str(data),  # the folder of Erlang's cookie
        "RABBITMQ_NODENAME": name,
        # This flag holds for every Erlang machine that the start script runs, also for those that only read the configuration:
        # one of these started an epmd of its own, on every interface of this machine, which outlived the broker.
        "ERL_AFLAGS": "-start_epmd false",
        "ERL_EPMD_PORT": str(unused),
        "ERL_CRASH_DUMP_SECONDS": "0",
        "RABBITMQ_MNESIA_BASE": str(data),
        "RABBITMQ_LOG_BASE": str(data),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": str(configuration),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        # The server replaces its shell, so that a signal hits the server, and needs no epmd, which would outlive it.
        "RUNNING_UNDER_SYSTEMD": "true",
    }
