"""Faults of links on a real shop."""

import asyncio
import time
from collections import Counter

import pytest

from harness import faults
from harness.faults import targets
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from tests.contract.acts import stock_of
from tests.faults.acts import begin, checkout, hangs, placed

pytestmark = pytest.mark.asyncio(loop_scope="package")

LINKS = {
    "order-1->stock-1",
    "order-1->payment-1",
    "order-1->order-store",
    "stock-1->order-1",
    "stock-1->payment-1",
    "stock-1->stock-store",
    "payment-1->order-1",
    "payment-1->stock-1",
    "payment-1->payment-store",
}


UNUSED = {"stock-1->payment-1", "payment-1->stock-1"}
"""Services other than order send each other no message; in containers they could not."""


def links_of(shop: LocalDeployment) -> set[str]:
    return LINKS - UNUSED if shop.spec.runtime == "docker" else LINKS


async def test_every_pair_of_connected_nodes_has_a_link(shop: LocalDeployment) -> None:
    assert {f"{source}->{to}" for source, to in shop.links()} == links_of(shop)


@pytest.mark.parametrize("target", ["order<->stock", "order-1->stock-1", "stock", "payment->payment-store", "any"])
@pytest.mark.parametrize("heal", ["flow", "reset"])
async def test_a_checkout_waits_for_the_end_of_a_partition(
    shop: LocalDeployment, client: ShopClient, target: str, heal: str
) -> None:
    _, _, (one,) = await placed(client)
    fault = await begin(shop, "partition", target, heal=heal)
    assert await hangs(client, one, shop, fault) == 200


async def test_votes_return_in_the_response(shop: LocalDeployment, client: ShopClient) -> None:
    """A link has the direction of its connections: a checkout needs none from a participant to its coordinator."""
    await begin(shop, "partition", "payment->order")
    started = time.monotonic()
    assert await checkout(client) == 200
    assert time.monotonic() - started < 2


async def test_a_partition_of_other_nodes_has_no_effect(shop: LocalDeployment, client: ShopClient) -> None:
    if not UNUSED & links_of(shop):
        assert "no link" in str(faults.refuse(shop, faults.fault("partition", ["stock<->payment"])))
        return
    await begin(shop, "partition", "stock<->payment")
    started = time.monotonic()
    assert await checkout(client) == 200
    assert time.monotonic() - started < 2


async def test_a_delay_makes_a_checkout_late(shop: LocalDeployment, client: ShopClient) -> None:
    _, _, (one,) = await placed(client)
    await begin(shop, "delay", "payment<->order", delay_ms=100, jitter_ms=0)
    started = time.monotonic()
    assert (await client.call("checkout", one)).status == 200
    assert time.monotonic() - started >= 0.2  # the way there, the way back


async def test_a_checkout_succeeds_over_a_slow_link(shop: LocalDeployment, client: ShopClient) -> None:
    _, _, (one,) = await placed(client)
    await begin(shop, "slow", "stock->stock-store", bytes_per_s=2_000)
    started = time.monotonic()
    assert (await client.call("checkout", one)).status == 200
    assert time.monotonic() - started >= 0.1


async def test_lost_connections_lose_no_checkout(shop: LocalDeployment, client: ShopClient) -> None:
    name, _, orders = await placed(client, 12)
    fault = await begin(shop, "loss", "services", "stores", probability=0.05)
    outcomes = Counter(
        [response.outcome for response in await asyncio.gather(*(client.call("checkout", one) for one in orders))]
    )
    await faults.end(shop, fault)
    for one in orders:
        assert (await client.call("checkout", one)).status == 200
    assert await stock_of(client, name) == 88
    assert outcomes["ok"]


async def test_one_name_covers_all_links_of_a_node(shop: LocalDeployment) -> None:
    def meant(*names: str) -> set[str]:
        return {f"{source}->{to}" for source, to in targets.links(shop, names)}

    assert meant("order-store") == {"order-1->order-store"}
    assert meant("stock") == {link for link in links_of(shop) if "stock-1" in link}
    assert meant("order->stock", "stock->order") == meant("order<->stock") == {"order-1->stock-1", "stock-1->order-1"}
    assert meant("all") == links_of(shop)
