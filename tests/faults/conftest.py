"""A shop with every capability, one for the folder and each runtime; each test leaves it healed."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from harness import faults
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from tests.faults.acts import healed
from tests.runtimes import EVERY_RUNTIME, deployment


@pytest_asyncio.fixture(scope="package", loop_scope="package", params=EVERY_RUNTIME)
async def whole(request: pytest.FixtureRequest) -> AsyncIterator[LocalDeployment]:
    spec = Spec(protocol="2pc", respawn_after_s=0.1, time_limit_s=8.0, breakable=True)
    async with deployment(request.param, spec) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="package")
async def shop(whole: LocalDeployment) -> AsyncIterator[LocalDeployment]:
    yield whole
    await faults.heal_all(whole)
    await healed(whole)


@pytest_asyncio.fixture(loop_scope="package")
async def client(shop: LocalDeployment) -> AsyncIterator[ShopClient]:
    async with ShopClient(shop.url) as one:
        yield one
