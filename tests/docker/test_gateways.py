"""Several gateways in containers: each has a port of its own, and clients go to another one when theirs is gone."""

import asyncio

import pytest

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.docker.deployment import DockerDeployment
from harness.workload.repeating_client import RepeatingClient
from tests.contract.acts import user
from tests.docker.test_hardening import loose
from tests.runtimes import need_docker

pytestmark = pytest.mark.docker
NAMES = ("gateway-1", "gateway-2")


async def test_a_gateway_that_dies_or_drains_leaves_its_clients_to_the_other_one() -> None:
    need_docker()
    spec = Spec(protocol="lua", runtime="docker", gateways=2, respawn_after_s=0.2)
    async with DockerDeployment(spec) as shop:
        first, second = shop.plan.addresses
        assert first != second
        for name in NAMES:
            shop.platform.containers[name].handle.reload()
            assert loose(shop.platform.containers[name].handle) == {}, name
        async with RepeatingClient(first, 30.0, [second]) as client:
            buyer = await user(client, 0)
            for end in (shop.kill, shop.terminate):
                for name in NAMES:
                    funds = [asyncio.ensure_future(client.call("add_funds", buyer, 1)) for _ in range(50)]
                    await asyncio.sleep(0.02)
                    life = shop.node(name).pid
                    end(name)
                    funds += [asyncio.ensure_future(client.call("add_funds", buyer, 1)) for _ in range(50)]
                    assert {response.status for response in await asyncio.gather(*funds)} == {200}
                    async with asyncio.timeout(40.0):
                        while shop.node(name).pid in (None, life) or shop.node(name).state != "running":
                            await asyncio.sleep(0.05)
                    assert {shop.node(each).url for each in NAMES} == {first, second}
            assert (await client.need("find_user", buyer))["credit"] == 400
