"""The yardstick: an aiohttp service that runs one atomic store script a request, and nothing else.

``python -m benchmarks.bare`` with ``WDM_LISTEN`` and ``WDM_STORE_URL``, as for a service of the shop. It does so twice:

- ``/take/ITEM``     as anybody would write it, with redis-py and a connection from its pool for each request
- ``/batched/ITEM``  through the batching store client of the shop, so that the two differ by the protocol alone
"""

import asyncio
import os
import signal

import redis.asyncio
import uvloop
from aiohttp import web
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from protocols.core import Command
from protocols.ports import LoopClock, Result
from protocols.registry import load
from protocols.service.codec import decode_result, encode_arguments
from protocols.service.library import source
from protocols.service.node import connector
from protocols.service.store import ValkeyStore


async def main() -> None:
    protocol = load("2pc")
    clock = LoopClock()
    library = source(protocol, protocol.configure())
    store = ValkeyStore(connector(os.environ["WDM_STORE_URL"]), library, clock, limit_ms=10_000)

    plain = redis.asyncio.Redis.from_url(os.environ["WDM_STORE_URL"], retry=Retry(NoBackoff(), 0))

    async def take(request: web.Request) -> web.Response:
        arguments = encode_arguments(clock.now_us() // 1000, (f"bare:{request.match_info['item']}", -1))
        return answer(decode_result(await plain.fcall("wdm_adjust", 0, arguments)))

    async def batched(request: web.Request) -> web.Response:
        return answer(await store.once(Command("adjust", (f"bare:{request.match_info['item']}", -1))))

    async def fill(_: web.Request) -> web.Response:
        await store.call(Command("init_accounts", ("bare", 0, 10_000, 2**40, 1)))
        return web.Response(text="done")

    app = web.Application()
    app.router.add_post("/take/{item}", take)
    app.router.add_post("/batched/{item}", batched)
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
    await plain.aclose()
    await store.stop()


def answer(result: Result) -> web.Response:
    return web.Response(status=200 if result[0] == "ok" else 409, text=result[0])


if __name__ == "__main__":
    uvloop.run(main())
