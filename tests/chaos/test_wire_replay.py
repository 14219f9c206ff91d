"""The bytes that services sent each other are sent again over new connections, with the secret and without: nothing happens."""

import asyncio

import pytest

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.runtimes.network.proxied_link import Half
from harness.workload.client import ShopClient
from protocols.service.links.peers import PATH
from tests.contract.acts import credit_of, item, order, stock_of, user
from tests.faults.acts import healed, rests


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, int], list[bytes]]:
    """What was sent on each connection through the proxy, by the address that it went to and a number; services' posts only."""
    found: dict[Half, bytes] = {}
    sent: dict[tuple[str, int], list[bytes]] = {}
    receive = Half.data_received

    def listen(half: Half, data: bytes) -> None:
        if half._direction == "forward":
            found[half] = found.get(half, b"") + data
            *whole, found[half] = _requests(found[half])
            sent.setdefault(half._link._to, []).extend(whole)
        receive(half, data)

    monkeypatch.setattr(Half, "data_received", listen)
    return sent


def _requests(stream: bytes) -> list[bytes]:
    """The whole posts of messages at the beginning of what was sent, and what follows them."""
    found = []
    while stream.startswith(b"POST " + PATH.encode()):
        head, end, body = stream.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if not end or len(body) < (size := int(lengths[0].partition(b":")[2])):
            break
        found.append(head + end + body[:size])
        stream = body[size:]
    return [*found, stream]


async def send_again(to: tuple[str, int], request: bytes) -> int:
    """The status that it is answered with."""
    reader, writer = await asyncio.open_connection(*to)
    writer.write(request)
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


async def state(client: ShopClient, users: list[str], items: list[str]) -> list[int]:
    return [await credit_of(client, one) for one in users] + [await stock_of(client, one) for one in items]


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["2pc", "saga"])
async def test_what_was_on_the_wire_has_no_effect_again(
    protocol: str, requests: dict[tuple[str, int], list[bytes]]
) -> None:
    spec = Spec(protocol=protocol, breakable=True, respawn_after_s=0.1, time_limit_s=5.0)
    async with LocalDeployment(spec) as shop, ShopClient(shop.url) as client:
        secret = shop.secret.encode()
        users = [await user(client, credit) for credit in (20, 1)]
        items = [await item(client, 20, 3) for _ in range(2)]
        for buyer in users:
            placed = await order(client, buyer, (items[0], 1), (items[1], 2))
            await client.call("checkout", placed)
        await rests(shop)
        was = await state(client, users, items)
        sent = {to: list(posts) for to, posts in requests.items() if posts}
        assert len(sent) >= 2, "services have posted to each other"
        for _ in range(2):
            for to, posts in sent.items():
                for post in posts:
                    assert secret in post
                    assert await send_again(to, post) in (200, 204)
                    for wrong in (post.replace(secret, b"x" * len(secret)), post.replace(b"x-wdm-secret", b"x-wdm-s")):
                        assert await send_again(to, wrong) == 403
            await rests(shop)
            assert await state(client, users, items) == was
            for node in shop.nodes():
                if node.kind == "service":
                    shop.kill(node.name)
            await shop.settled()
            await healed(shop)
