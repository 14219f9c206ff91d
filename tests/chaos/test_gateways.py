"""Two gateways behind one port: the death of one fails no request of clients that repeat."""

import asyncio

import pytest

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from harness.workload.repeating_client import RepeatingClient
from tests.contract.acts import item, order, user
from tests.sim.conftest import examined


@pytest.mark.slow
async def test_a_gateway_that_dies_leaves_its_clients_to_the_other_one() -> None:
    spec = Spec(protocol="lua", gateways=2, respawn_after_s=0.0)
    async with LocalDeployment(spec) as shop, RepeatingClient(shop.url) as client:
        buyer = await user(client, 0)
        for name in ("gateway-1", "gateway-2"):
            funds = [asyncio.ensure_future(client.call("add_funds", buyer, 1)) for _ in range(100)]
            await asyncio.sleep(0.02)
            shop.kill(name, stay_down=True)
            assert {response.status for response in await asyncio.gather(*funds)} == {200}
            await shop.restart(name)
        assert (await client.need("find_user", buyer))["credit"] == 200


@pytest.mark.slow
async def test_a_gateway_that_drains_fails_no_request_of_clients_that_do_not_repeat() -> None:
    spec = Spec(protocol="lua", gateways=2, respawn_after_s=0.1)
    async with LocalDeployment(spec) as shop, ShopClient(shop.url) as client:
        buyer, answers, over = await user(client, 0), [], False

        async def pays() -> None:
            while not over:
                answers.append((await client.call("add_funds", buyer, 1)).status)

        async def visits() -> None:  # with a connection for each request
            while not over:
                async with ShopClient(shop.url) as visitor:
                    answers.append((await visitor.call("add_funds", buyer, 1)).status)

        customers = [asyncio.ensure_future(pays()) for _ in range(8)] + [
            asyncio.ensure_future(visits()) for _ in range(4)
        ]
        for name in ("gateway-1", "gateway-2") * 5:
            life, asked = shop.node(name).pid, len(answers)
            shop.terminate(name)
            async with asyncio.timeout(10.0):
                while shop.node(name).pid in (None, life) or shop.node(name).state != "running":
                    await asyncio.sleep(0.01)
            assert len(answers) > asked
        over = True
        await asyncio.gather(*customers)
        assert set(answers) == {200}
        assert (await client.need("find_user", buyer))["credit"] == len(answers)


@pytest.mark.slow
async def test_a_gateway_answers_the_request_under_way_before_it_ends() -> None:
    spec = Spec(protocol="2pc", respawn_after_s=0.0)
    async with LocalDeployment(spec) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 5), await user(client, 5)
        placed = await order(client, buyer, (name, 1))
        shop.pause("payment-1")
        checkout = asyncio.ensure_future(client.call("checkout", placed))
        await asyncio.sleep(0.2)  # it is waiting for payment now
        shop.terminate("gateway")
        await asyncio.sleep(1.5)  # longer than a gateway without requests needs to end
        assert shop.node("gateway").pid is not None
        shop.resume("payment-1")
        assert (await checkout).status == 200
        async with asyncio.timeout(5.0):
            while shop.node("gateway").pid is not None:
                await asyncio.sleep(0.01)


def test_the_simulator_has_several_gateways_too() -> None:
    done = examined("gateway-failover")
    assert (done.judgement.verdict, len(done.history.of_kind("fault-refused"))) == ("holds", 0)
    assert {event.data["target"] for event in done.history.of_kind("fault-start")} == {"gateway-1", "gateway-2"}
