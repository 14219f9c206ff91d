"""The contenders: shops on local processes, and the bare service on a store of its own. Each is up while its block runs."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from redis import Redis
from redis.exceptions import RedisError

from benchmarks.speed.counts import Process
from benchmarks.speed.orders import fill
from harness.runtimes.base import Node
from harness.runtimes.deployment.ports import Ports
from harness.runtimes.deployment.spec import BUNDLED, Spec
from harness.runtimes.deployment.valkey import configuration, find_binary
from harness.runtimes.local.deployment import LocalDeployment
from protocols.errors import UsageError
from protocols.registry import load

BARE = "bare"
ALWAYS = "always"
WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Contender:
    """A running contender. Requests go to `urls`, with `path` and a number; `orders` is the store with the orders.

    `processes` returns all its processes; `stores` maps the names of its stores to their addresses.
    """

    name: str
    urls: Sequence[str]
    path: str
    processes: Callable[[], Sequence[Process]]
    stores: Mapping[str, str]
    orders: str = ""


def parse(name: str, workers: int) -> Spec | None:
    """Return the specification of a contender; None for the bare service. Raises `UsageError`."""
    protocol, *rest = name.split("/")
    durability = ALWAYS if ALWAYS in rest else "everysec"
    options = dict(part.partition("=")[::2] for part in rest if part != ALWAYS)
    if protocol == BARE:
        return None
    transport = options.pop("transport", "http")
    load(protocol).configure(options)
    spec = Spec(protocol=protocol, workers=workers, durability=durability, transport=transport, options=options)
    spec.check()
    return spec


def exists(name: str) -> bool:
    """Return whether the registry has the contender: protocols and options come and go."""
    try:
        parse(name, 1)
    except UsageError:
        return False
    return True


@asynccontextmanager
async def brought_up(name: str, workers: int) -> AsyncIterator[Contender]:
    spec = parse(name, workers)
    if spec is None:
        durability = ALWAYS if f"/{ALWAYS}" in name else "everysec"
        async with _bare(name, workers, durability) as contender:
            yield contender
        return
    async with LocalDeployment(spec) as shop:
        protocol = load(spec.protocol)
        fill({service: shop.store_url(service) for service in protocol.roles})
        stores = {service: shop.store_url(service) for service in {protocol.store_of(role) for role in protocol.roles}}
        yield Contender(
            name,
            [node.url for node in shop.nodes() if node.service == "order" and node.kind == "service"],
            "/checkout/",
            lambda: [process for node in shop.nodes() for process in _process(node)],
            stores,
            shop.store_url("order"),
        )


def _process(node: Node) -> Iterator[Process]:
    if node.pid is not None and node.kind == "service":
        yield Process(node.service, node.pid, f"{node.url}/metrics")
    elif node.pid is not None and node.kind == "store":
        yield Process(f"{node.service}-store", node.pid)


@asynccontextmanager
async def _bare(name: str, workers: int, durability: str) -> AsyncIterator[Contender]:
    with closing(Ports()) as ports, tempfile.TemporaryDirectory(prefix="wdm-bare-") as folder:
        port, data = ports.take(), Path(folder) / "data"
        data.mkdir()
        file = Path(folder) / "store.conf"
        file.touch(mode=0o600)
        file.write_text(configuration(port=port, password="bare", data=data, durability=durability))  # noqa: S106
        store = f"redis://:bare@127.0.0.1:{port}/0"
        addresses = [f"127.0.0.1:{ports.take()}" for _ in range(workers)]
        environment = {**os.environ, "WDM_STORE_URL": store}
        command = [sys.executable, "-P", "-m", "benchmarks.bare"]
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        processes = [subprocess.Popen([find_binary(BUNDLED), file], stdout=subprocess.DEVNULL)]  # noqa: ASYNC220
        try:
            await _answering(store)
            processes += [
                subprocess.Popen(command, env={**environment, "WDM_LISTEN": address})  # noqa: ASYNC220
                for address in addresses
            ]
            for address in addresses:
                await _filled(f"http://{address}/fill")
            counted = [
                Process("order-store" if not at else "order", process.pid) for at, process in enumerate(processes)
            ]
            yield Contender(
                name, [f"http://{address}" for address in addresses], "/take/", lambda: counted, {"order": store}
            )
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()


async def _answering(url: str) -> None:
    async with asyncio.timeout(WITHIN_S):
        with closing(Redis.from_url(url)) as client:
            while True:
                try:
                    client.ping()
                except RedisError:
                    await asyncio.sleep(0.05)
                else:
                    return


async def _filled(url: str) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(WITHIN_S):
        while True:
            try:
                async with session.post(url) as response:
                    return response.raise_for_status()
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)
