"""Shared actions of the tests of faults."""

import asyncio
import time
from collections.abc import Callable
from random import Random

import aiohttp

from harness import faults
from harness.runtimes.admin import AdminClient
from harness.runtimes.base import Node
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from protocols.service.faults import PATH, Faults, from_json
from tests.contract.acts import item, order, user


async def begin(
    shop: LocalDeployment, kind: str, *targets: str, for_s: float = 1.0, **settings: object
) -> faults.Fault:
    """Start a fault that can be injected here; the test ends it."""
    fault = faults.fault(kind, targets or None, for_s=for_s, settings=settings)
    assert faults.refuse(shop, fault) is None
    begun, _ = await faults.start(shop, fault, Random(1))
    return begun


async def until(true: Callable[[], object], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.005)


async def healed(shop: LocalDeployment) -> None:
    """Return once every node serves."""
    await until(lambda: all(node.state == "running" for node in shop.nodes()))


def states(shop: LocalDeployment, *names: str) -> list[str]:
    return [shop.node(name).state for name in names]


def services(shop: LocalDeployment) -> list[Node]:
    return [node for node in shop.nodes() if node.kind == "service"]


async def placed(client: ShopClient, count: int = 1) -> tuple[str, list[str], list[str]]:
    """Create an item, users who can each pay for one, and an order for each."""
    name = await item(client, 100)
    buyers = await asyncio.gather(*(user(client, 1) for _ in range(count)))
    return name, buyers, await asyncio.gather(*(order(client, buyer, (name, 1)) for buyer in buyers))


async def checkout(client: ShopClient) -> int:
    """Return the status of a checkout of a new order."""
    _, _, (one,) = await placed(client)
    return (await client.call("checkout", one)).status


async def hangs(client: ShopClient, one: str, shop: LocalDeployment, fault: faults.Fault) -> int:
    """Return the status of a checkout that waits for the fault's end."""
    request = asyncio.ensure_future(client.call("checkout", one))
    done, _ = await asyncio.wait((request,), timeout=0.3)
    assert not done
    await faults.end(shop, fault)
    return (await request).status


async def injected(shop: LocalDeployment, name: str) -> Faults:
    """Return the faults that a service process reports."""
    async with (
        aiohttp.ClientSession(headers={"x-wdm-secret": shop.secret}) as session,
        session.get(shop.node(name).url + PATH) as response,
    ):
        return from_json(await response.read())


async def rests(shop: LocalDeployment) -> None:
    """Return once nothing is unfinished anywhere."""
    operator = AdminClient(shop.nodes(), shop.secret)
    async with asyncio.timeout(10):
        while await operator.unfinished():
            await asyncio.sleep(0.01)
