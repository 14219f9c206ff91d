"""Two gateways behind one port: the death of one fails no request of clients that repeat."""

import asyncio

import pytest

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.repeating_client import RepeatingClient
from tests.contract.acts import user
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


def test_the_simulator_has_several_gateways_too() -> None:
    done = examined("gateway-failover")
    assert (done.judgement.verdict, len(done.history.of_kind("fault-refused"))) == ("holds", 0)
    assert {event.data["target"] for event in done.history.of_kind("fault-start")} == {"gateway-1", "gateway-2"}
