"""A real broker of each kind, a child of the test's own, and links that use it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from harness.runtimes.deployment.node_supervisor import NodeSupervisor
from harness.runtimes.deployment.plan import NodeSpec
from harness.runtimes.deployment.ports import Ports
from harness.runtimes.local.brokers import BROKERS
from harness.runtimes.local.brokers.base import Broker, BrokerSetting
from harness.runtimes.local.child import ChildLife
from protocols.service.codec import Codec
from protocols.service.links import transport
from protocols.service.links.transport_link import TransportLink
from protocols.service.settings import Settings
from tests.brokers import missing

WITHIN_S = 30.0
CLIENTS = tuple(f"{service}-{number}" for service in ("order", "stock", "payment") for number in (1, 2, 3))
KINDS = ("streams", "rabbitmq", "kafka")


@dataclass(frozen=True)
class Note:
    txn: str
    text: str = ""


CODEC = Codec((Note,))


class Running:
    """A running broker, which may be killed and started again. Each test has its own messages: see `fresh`."""

    def __init__(self, kind: str, broker: Broker, keeper: NodeSupervisor) -> None:
        self.kind = kind
        self.broker = broker
        self._keeper = keeper

    def kill(self) -> None:
        self._keeper.kill(stay_down=True)

    async def restart(self) -> None:
        await self._keeper.restart(WITHIN_S)

    def link(self, node: str, instances: int = 2) -> TransportLink:
        env = {
            "WDM_SERVICE": node.partition("-")[0],
            "WDM_NODE": node,
            "WDM_PROTOCOL": "saga",
            "WDM_LISTEN": "127.0.0.1:1",
            "WDM_STORE_URL": "redis://127.0.0.1:1/0",
            "WDM_SECRET": "s",
            "WDM_TRANSPORT": self.kind,
            "WDM_BROKER_URL": self.broker.urls[node],
        }
        peers = dict.fromkeys(("order", "stock", "payment"), ("x",) * instances)
        return transport(self.kind).link(replace(Settings.read(env), peers=peers), CODEC)


@pytest_asyncio.fixture(params=KINDS, scope="module", loop_scope="module")
async def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    kind = request.param
    missing(kind)
    folder = tmp_path_factory.mktemp(kind)
    ports = Ports()

    def private(name: str, text: str) -> Path:
        (folder / name).write_text(text)
        return folder / name

    setting = BrokerSetting("broker", folder / "data", "everysec", CLIENTS, ports.take, lambda _, port: port, private)
    (laid,) = BROKERS[kind].plan_brokers([setting])
    node_spec = NodeSpec(
        name="broker",
        kind="broker",
        service="",
        url=laid.shown,
        port=laid.port,
        command=laid.command,
        environment={**_environment(), **laid.environment},
        log=folder / "log",
        serves=laid.serves,
        prepare=lambda: (folder / "data").mkdir(exist_ok=True),
    )
    keeper = NodeSupervisor(node_spec, 0, lambda: None, ChildLife.begin)
    keeper.start()
    try:
        await keeper.serving(WITHIN_S)
        yield Running(kind, laid, keeper)
    finally:
        await keeper.stop()
        ports.close()


def _environment() -> dict[str, str]:
    import os

    return {"PATH": os.environ["PATH"]}


@dataclass
class Inbox:
    """The messages that a link has delivered. `handle` ends each batch; None: batches are under way for ever."""

    handle: Callable[[Callable[[], None]], None] | None = lambda done: done()
    notes: list[Note] = field(default_factory=list)
    senders: set[str] = field(default_factory=set)
    batches: int = 0

    def __call__(self, sender: str, messages: Any, done: Callable[[], None]) -> None:
        self.batches += 1
        self.senders.add(sender)
        self.notes += messages
        if self.handle is not None:
            self.handle(done)

    async def until(self, wanted: set[Note], within_s: float = WITHIN_S) -> None:
        deadline = asyncio.get_running_loop().time() + within_s
        while not wanted <= set(self.notes):
            left = len(wanted - set(self.notes))
            assert asyncio.get_running_loop().time() < deadline, f"{left} of {len(wanted)} did not arrive"
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def started(link: TransportLink, inbox: Inbox) -> AsyncIterator[TransportLink]:
    await link.start(inbox)
    try:
        yield link
    finally:
        await link.stop()


async def drained(link: TransportLink) -> None:
    """Wait until every message has left."""
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while link.waiting:
        assert asyncio.get_running_loop().time() < deadline, f"{link.waiting} messages did not leave"
        await asyncio.sleep(0.02)
