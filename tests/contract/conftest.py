"""A real shop on the local runtime, one for the whole suite, and a client of its gateway."""

from collections.abc import AsyncIterator

import pytest_asyncio

from harness.runtimes.local.deployment import LocalDeployment
from harness.runtimes.local.spec import Spec
from harness.workload.client import ShopClient


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop() -> AsyncIterator[LocalDeployment]:
    async with LocalDeployment(Spec(protocol="2pc", respawn_after_s=0.2, time_limit_s=4.0)) as deployment:
        yield deployment


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(shop: LocalDeployment) -> AsyncIterator[ShopClient]:
    async with ShopClient(shop.url) as one:
        yield one
