"""A real shop, one for the whole suite, each protocol and each runtime, and a client of its gateway."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from harness.runtimes.local.deployment import LocalDeployment
from harness.runtimes.local.spec import Spec
from harness.workload.client import ShopClient
from tests.runtimes import EVERY_RUNTIME, deployment

PROTOCOLS = ("2pc", "saga")


@pytest.fixture(scope="session", params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=EVERY_RUNTIME)
async def shop(request: pytest.FixtureRequest, protocol: str) -> AsyncIterator[LocalDeployment]:
    async with deployment(request.param, Spec(protocol=protocol, respawn_after_s=0.2, time_limit_s=4.0)) as one:
        yield one


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(shop: LocalDeployment) -> AsyncIterator[ShopClient]:
    async with ShopClient(shop.url) as one:
        yield one
