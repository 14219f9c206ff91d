"""The baseline: an aiohttp service that runs one atomic store script a request, and nothing else.

`python -m benchmarks.bare` with `WDM_LISTEN` and `WDM_STORE_URL`, as for a service of the shop. `/take/ITEM` takes one
from an account with redis-py, with a connection from its pool for each request.
"""

import asyncio
import os
import signal
import time

import redis.asyncio
import uvloop
from aiohttp import web
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from protocols.registry import load
from protocols.service.codec import decode_result, encode_arguments
from protocols.service.lua_library import source
from protocols.store.tables import Result


async def main() -> None:
    protocol = load("2pc")
    library = source(protocol, protocol.configure())
    plain = redis.asyncio.Redis.from_url(os.environ["WDM_STORE_URL"], retry=Retry(NoBackoff(), 0))

    async def take(request: web.Request) -> web.Response:
        arguments = encode_arguments(time.time_ns() // 1_000_000, (f"bare:{request.match_info['item']}", -1))
        return answer(decode_result(await plain.fcall("wdm_adjust", 0, arguments)))

    async def fill(_: web.Request) -> web.Response:
        await plain.function_load(library, replace=True)
        await plain.fcall("wdm_init_accounts", 0, encode_arguments(0, ("bare", 0, 10_000, 2**40, 1)))
        return web.Response(text="done")

    app = web.Application()
    app.router.add_post("/take/{item}", take)
    app.router.add_post("/fill", fill)
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


def answer(result: Result) -> web.Response:
    return web.Response(status=200 if result[0] == "ok" else 409, text=result[0])


if __name__ == "__main__":
    uvloop.run(main())
