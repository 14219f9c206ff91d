"""The yardstick: an aiohttp service that runs one atomic store command a request, and nothing else.

``python -m benchmarks.bare`` with ``WDM_LISTEN`` and ``WDM_STORE_URL``, as for a service of the shop. It goes through the same
batching store client as the shop, so that a ratio to it measures the protocol and not the client.
"""

import asyncio
import os
import signal

import uvloop
from aiohttp import web

from protocols.core import Command
from protocols.ports import LoopClock
from protocols.registry import load
from protocols.service.library import source
from protocols.service.node import connector
from protocols.service.store import ValkeyStore


async def main() -> None:
    protocol = load("2pc")
    clock = LoopClock()
    library = source(protocol, protocol.configure())
    store = ValkeyStore(connector(os.environ["WDM_STORE_URL"]), library, clock, limit_ms=10_000)

    async def take(request: web.Request) -> web.Response:
        result = await store.once(Command("adjust", (f"bare:{request.match_info['item']}", -1)))
        return web.Response(status=200 if result[0] == "ok" else 409, text=result[0])

    async def fill(_: web.Request) -> web.Response:
        await store.call(Command("init_accounts", ("bare", 0, 10_000, 2**40, 1)))
        return web.Response(text="done")

    app = web.Application()
    app.router.add_post("/take/{item}", take)
    app.router.add_post("/fill", fill)
    store.start()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    host, _, port = os.environ["WDM_LISTEN"].rpartition(":")
    await web.TCPSite(runner, host, int(port), backlog=4096).start()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await runner.cleanup()
    await store.stop()


if __name__ == "__main__":
    uvloop.run(main())
