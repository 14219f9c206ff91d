"""Every gateway answers the same status to the same bytes, and what it says of each is true."""

import asyncio
import contextlib
from urllib.parse import urlsplit

import pytest

from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from tests.contract.acts import item, order, stock_of
from tests.contract.requests import ROWS

pytestmark = pytest.mark.asyncio(loop_scope="session")

GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


async def status_of(url: str, request: bytes) -> int:
    """The status line's; 0 where there was no answer."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    response = b""
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(request)
            await writer.drain()
        async with asyncio.timeout(10):
            while b"\r\n" not in response.removeprefix(GO_ON) and (more := await reader.read(4096)):
                response += more
    finally:
        writer.close()
    return int(response.removeprefix(GO_ON).split(b" ")[1]) if response else 0


async def test_every_row_is_answered_with_its_status_and_nothing_else_happens(
    shop: LocalDeployment, client: ShopClient
) -> None:
    name = await item(client, 5)
    placed = await order(client, "u", (name, 1))
    values = {b"{item}": name, b"{order}": placed, b"{host}": urlsplit(shop.url).netloc}
    wrong, added = {}, 0
    for row in ROWS:
        request = row.request
        for mark, value in values.items():
            request = request.replace(mark, value.encode())
        status = await status_of(shop.url, request)
        added += row.status == 200 and b"/stock/add/" in request
        if status != row.status:
            wrong[row.name] = (status, "instead of", row.status)
    assert not wrong
    assert await stock_of(client, name) == 5 + added
    assert (await client.need("find_order", placed))["items"] == [[name, 1]]


async def test_a_refused_id_is_named(client: ShopClient) -> None:
    for bad in ("..\\x", "a/../b", "bell\x07", "x" * 300):
        for call in (("find_item", bad), ("add_stock", bad, 1), ("create_order", bad), ("checkout", bad)):
            response = await client.call(*call)
            assert response.outcome == "fail", (call, response)
            assert "/../" in bad or ascii(bad[:20])[1:-1] in str(response.value).replace("\\\\", "\\"), (call, response)


async def test_an_id_that_is_a_path_is_looked_up_as_a_name_and_at_once(client: ShopClient) -> None:
    placed = await order(client, "u")
    loop = asyncio.get_running_loop()
    began = loop.time()
    for odd in ("a/b", "health?", "a#b", "a%2Fb", "%", "a b"):
        response = await client.call("add_item", placed, odd, 1)
        assert (response.status, response.value) == (404, {"error": "unknown id", "item_id": odd})
    # The time limit of this shop is 4 s, in which an unanswered request to a peer is repeated.
    assert loop.time() - began < 4.0


async def test_a_secret_of_any_bytes_is_only_wrong(shop: LocalDeployment) -> None:
    own = shop.node("order-1").url
    for secret in (b"\xff\xfe", "ö".encode(), b"a" * 5_000):
        request = b"GET /internal/txns HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-wdm-secret: %b\r\n\r\n" % secret
        assert await status_of(own, request) == 403
