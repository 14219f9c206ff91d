"""A service that cannot be reached, through the gateway of each runtime: what was sent nowhere has not happened."""

import asyncio

import aiohttp
import pytest

from harness.runtimes.deployment.spec import Spec
from harness.workload.client import ShopClient
from tests.contract.acts import credit_of, user
from tests.runtimes import EVERY_RUNTIME, deployment


@pytest.mark.parametrize("runtime", EVERY_RUNTIME)
@pytest.mark.parametrize(
    ("statuses", "nothing_happened"), [("exact", 424), pytest.param("course", 400, marks=pytest.mark.slow)]
)
async def test_a_request_that_reached_no_instance_did_not_happen(
    runtime: str, statuses: str, nothing_happened: int
) -> None:
    """Found beside each other: nginx answered 502 to it, which says that the outcome is unknown."""
    spec = Spec(protocol="2pc", time_limit_s=1.0, statuses=statuses, respawn_after_s=0.2)
    async with deployment(runtime, spec) as shop, ShopClient(shop.url) as client, aiohttp.ClientSession() as http:
        buyer = await user(client, 5)
        shop.kill("payment-1", stay_down=True)
        await shop.settled()
        for method, path in (("POST", f"/payment/pay/{buyer}/1"), ("GET", f"/payment/find_user/{buyer}")):
            async with http.request(method, shop.url + path) as answer:
                body = await answer.json()
                assert (answer.status, body) == (
                    nothing_happened,
                    {"error": "the payment service accepts no connection: nothing happened"},
                )
        await shop.restart("payment-1")
        assert await credit_of(client, buyer) == 5


@pytest.mark.parametrize("runtime", EVERY_RUNTIME)
async def test_a_request_that_was_sent_and_lost_is_unknown(runtime: str) -> None:
    spec = Spec(protocol="2pc", time_limit_s=2.0, respawn_after_s=0.2)
    async with deployment(runtime, spec) as shop, ShopClient(shop.url) as client, aiohttp.ClientSession() as http:
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
