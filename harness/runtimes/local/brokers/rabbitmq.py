"""RabbitMQ as a child process: the server's own start script, no plugin, no epmd, one node with a name of its own."""

import os
import re
import shutil
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
MEMORY_MB = 512
DISK_MB = 50


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


def plan_broker(setting: BrokerSetting) -> Broker:
    """Plan a RabbitMQ broker. Raises as `find` does."""
    script, port, password = _script(), setting.port(), token_hex(16)
    configuration = setting.private("rabbitmq.conf", _configuration(port, password))
    plugins = setting.private("rabbitmq-plugins", "[].\n")
    return Broker(
        command=(str(script),),
        environment=_environment(setting.data, configuration, plugins, setting.port(), setting.port()),
        port=port,
        shown=f"amqp://{HOST}:{port}/",
        urls={name: f"amqp://{BROKER_USER}:{password}@{HOST}:{setting.via(name, port)}/" for name in setting.clients},
        serves=probe.answers(port, HELLO, GREETING),
    )


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


def _environment(data: Path, configuration: Path, plugins: Path, distribution: int, unused: int) -> dict[str, str]:
    """Return the variables of the server. `unused`: a port without a listener, in place of the name service's (epmd): the
    one of this machine must not list this broker.
    """
    loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
    # RabbitMQ stores its data under the node's name, and no two nodes of a machine may have the same name.
    name = f"wdm-{crc32(str(data).encode()):08x}@localhost"
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
        "RABBITMQ_DIST_PORT": str(distribution),
        # The server replaces its shell, so that a signal hits the server, and needs no epmd, which would outlive it.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-sname {name} -erl_epmd_port {distribution} {loopback} "
        "+sbwt none +sbwtdcpu none +sbwtdio none",
    }
