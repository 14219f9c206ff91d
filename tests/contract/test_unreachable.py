"""A service that cannot be reached, through the gateway of each runtime: what was sent nowhere has not happened."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from tests.contract.acts import credit_of, user
from tests.runtimes import EVERY_RUNTIME, deployment

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOTHING_HAPPENED = {"exact": 424, "course": 400}
"""The status of a request without effect, for each choice of statuses."""
BY_STATUSES = ["exact", pytest.param("course", marks=pytest.mark.slow)]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=EVERY_RUNTIME)
async def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=BY_STATUSES)
async def shop(request: pytest.FixtureRequest, runtime: str) -> AsyncIterator[LocalDeployment]:
    spec = Spec(protocol="2pc", time_limit_s=1.5, statuses=request.param, respawn_after_s=0.2)
    async with deployment(runtime, spec) as started:
        yield started


async def test_a_request_that_reached_no_instance_did_not_happen(shop: LocalDeployment) -> None:
    """Found beside each other: nginx answered 502 to it, which says that the outcome is unknown."""
    async with ShopClient(shop.url) as client, aiohttp.ClientSession() as http:
        buyer = await user(client, 5)
        shop.kill("payment-1", stay_down=True)
        await shop.settled()
        for method, path in (("POST", f"/payment/pay/{buyer}/1"), ("GET", f"/payment/find_user/{buyer}")):
            async with http.request(method, shop.url + path) as answer:
                body = await answer.json()
                assert (answer.status, body) == (
                    NOTHING_HAPPENED[shop.spec.statuses],
                    {"error": "the payment service accepts no connection: nothing happened"},
                )
        await shop.restart("payment-1")
        assert await credit_of(client, buyer) == 5


async def test_a_request_that_was_sent_and_lost_is_unknown(shop: LocalDeployment) -> None:
    async with ShopClient(shop.url) as client, aiohttp.ClientSession() as http:
        buyer = await user(client, 5)
        shop.pause("payment-store")
        await shop.settled()

        async def pay() -> tuple[int, str]:
            async with http.post(f"{shop.url}/payment/pay/{buyer}/1") as answer:
                return answer.status, (await answer.json())["error"]

        waiting = asyncio.create_task(pay())
        done, _ = await asyncio.wait((waiting,), timeout=0.5)  # it was sent, and waits for the store
        assert not done
        shop.kill("payment-1", stay_down=True)
        status, error = await waiting
        assert (status, error.startswith("the payment service did not answer"), "unknown" in error) == (502, True, True)
        shop.resume("payment-store")
        await shop.restart("payment-1")
        assert await credit_of(client, buyer) in {4, 5}
