"""A peer whose container comes back under the same name may have another address."""

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web

from protocols.service.codec import Codec
from protocols.service.links.http import HttpLink
from protocols.two_phase import PROTOCOL
from protocols.two_phase.messages import Commit


async def test_a_peer_is_looked_up_anew_for_every_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found with containers: aiohttp keeps an address for ten seconds, and the peer was unreachable for as long."""
    loop = asyncio.get_running_loop()
    addresses, received = ["127.0.0.2"], asyncio.Event()

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        assert host == "stock"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses[-1], port))]

    async def accept(_: web.BaseRequest) -> web.Response:
        received.set()
        return web.Response(status=204)

    runner = web.ServerRunner(web.Server(accept, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    link = HttpLink("me", {"stock": [f"http://stock:{port}"]}, {}, "s", Codec(PROTOCOL.messages))
    await link.start(lambda *_: None)
    try:
        link.send("stock", Commit("t", "stock"))
        while not link.counts.lost:  # no server listens at the old address
            await asyncio.sleep(0.01)
        addresses.append("127.0.0.1")
        link.send("stock", Commit("t", "stock"))
        async with asyncio.timeout(2):
            await received.wait()
    finally:
        await link.stop()
        await runner.cleanup()
