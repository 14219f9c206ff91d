"""The elector of all stores of a shop: `python -m protocols.service.copies`.

Variables: `WDM_COPIES`, a JSON object of stores with the URL of each copy by its name; `WDM_ELECTOR`, the number of this elector;
`WDM_LISTEN`, the address at which `GET /health` shows primaries and copies, with status 200 once every store has had a primary.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from random import Random

import structlog
import uvloop
from aiohttp import web

from protocols.copies.elector import ELECTORS, Elector
from protocols.errors import UsageError
from protocols.service.copies.server import ServerCopy
from protocols.service.http import BoundedServer, bound_logs, json_response, listen
from protocols.service.settings import environment
from protocols.service.tasks import Background
from protocols.service.valkey_connection import ServerAddress

BACKLOG = 128
STOP_WITHIN_S = 1.0
log = structlog.get_logger()


class ElectorProcess:
    """The electors of several stores. `copies`: the URL of each copy by its name, by store."""

    def __init__(self, copies: Mapping[str, Mapping[str, str]], number: int, ablated: frozenset[str]) -> None:
        self._electors = {store: _elector(store, urls, number, ablated) for store, urls in copies.items()}
        self._tasks = Background(log.error)
        self._served: set[str] = set()

    def start(self) -> None:
        for store, elector in self._electors.items():
            self._tasks.keep(elector.run, f"elector of {store}")

    async def stop(self) -> None:
        await self._tasks.stop()

    async def health(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return every store with its primary and what the last look at each copy showed."""
        del request
        self._served |= {store for store, elector in self._electors.items() if elector.primary}
        stores = {
            store: {"primary": elector.primary, "copies": {name: asdict(view) for name, view in elector.views.items()}}
            for store, elector in self._electors.items()
        }
        return json_response({"stores": stores}, 200 if len(self._served) == len(self._electors) else 503)


def _elector(store: str, urls: Mapping[str, str], number: int, ablated: frozenset[str]) -> Elector:
    addresses = {name: ServerAddress.parse(url) for name, url in urls.items()}
    names = {(address.host, address.port): name for name, address in addresses.items()}
    copies = [ServerCopy(name, address, names) for name, address in addresses.items()]
    last = ""

    def say(text: str) -> None:
        nonlocal last
        if text != last:
            last = text
            log.info(text, store=store)

    return Elector(copies, number, Random(), lambda safeguard: safeguard not in ablated, say)


async def serve(process: ElectorProcess, host: str, port: int) -> None:
    """Elect until SIGTERM or SIGINT. Raises `OSError` if the address is taken."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    runner = web.ServerRunner(BoundedServer(process.health), shutdown_timeout=STOP_WITHIN_S)
    await runner.setup()
    process.start()
    try:
        await listen(runner, host, port, BACKLOG)
        await stopped.wait()
    finally:
        await process.stop()
        await runner.cleanup()


def main() -> int:
    """Run the elector of the environment's variables. Return 0, 2 for a wrong variable, 4 if the address is taken."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    bound_logs()
    variables = environment(os.environ)
    host, _, port = variables["WDM_LISTEN"].rpartition(":")
    number = int(variables.get("WDM_ELECTOR") or 1)
    if not 0 < number < ELECTORS:
        print(f"error: WDM_ELECTOR={number} is not from 1 to {ELECTORS - 1}", file=sys.stderr)
        return 2
    ablated = frozenset(filter(None, variables.get("WDM_ABLATE", "").split(",")))
    try:
        uvloop.run(serve(ElectorProcess(json.loads(variables["WDM_COPIES"]), number, ablated), host, int(port)))
    except UsageError as error:
        print(f"error: WDM_COPIES: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: cannot listen on {host}:{port}: {error.strerror}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
