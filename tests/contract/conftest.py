"""A real shop, one for the whole suite, each protocol, transport and runtime, and a client of its gateway."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from protocols.service.links import TRANSPORTS
from tests.brokers import missing
from tests.runtimes import DOCKER, EVERY_PROTOCOL, LOCAL, deployment


def shop_of(runtime: Any, protocol: str, transport: str = "http") -> Any:
    marks = (*runtime.marks, *((pytest.mark.broker,) if TRANSPORTS[transport].broker else ()))
    return pytest.param(
        (runtime.values[0], protocol, transport), marks=marks, id=f"{runtime.id}-{protocol}-{transport}"
    )


BROKERED = [name for name, transport in TRANSPORTS.items() if transport.broker]
SHOPS = (
    *(shop_of(LOCAL, protocol) for protocol in EVERY_PROTOCOL),
    shop_of(LOCAL, "2pc", "tcp"),
    *(shop_of(DOCKER, protocol) for protocol in EVERY_PROTOCOL),
    *(shop_of(runtime, "saga", transport) for runtime in (LOCAL, DOCKER) for transport in BROKERED),
)


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=SHOPS)
async def shop(request: pytest.FixtureRequest) -> AsyncIterator[LocalDeployment]:
    runtime, protocol, transport = request.param
    if runtime == "local":
        missing(transport)
    spec = Spec(protocol=protocol, transport=transport, respawn_after_s=0.2, time_limit_s=4.0)
    async with deployment(runtime, spec) as one:
        yield one


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(shop: LocalDeployment) -> AsyncIterator[ShopClient]:
    async with ShopClient(shop.url) as one:
        yield one
