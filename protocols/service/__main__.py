"""`python -m protocols.service`: one service process, configured by its environment (`settings.py`).

SIGTERM and SIGINT drain the process. It refuses new connections from then on, closes those without a request, and ends once
every request under way is answered, at its time limit at the latest. A request that arrives on a connection while it is being
closed is lost before it was read; a gateway sends it to another instance, with the same idempotency key.

Exit codes: 2 for a wrong variable, 4 if the address cannot be listened on or the store contains data of another format.
"""

import sys

# structlog imports rich for its console output, where it is installed: a fifth of the startup time, for output never used here.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # documented: a later import of it fails

import asyncio
import gc
import logging
import os
import resource
import signal

import structlog
import uvloop
from aiohttp import web

from protocols.errors import UsageError
from protocols.service.app import application
from protocols.service.http import BoundedRunner, bound_logs
from protocols.service.service_process import ServiceProcess
from protocols.service.settings import Settings, environment
from protocols.service.tasks import end_tasks, start_task

END_WITHIN_S = 0.3  # for the transactions that answered requests leave behind

COLLECT_AFTER = 20_000  # new objects

FIRST_ATTEMPT_WITHIN_S = 0.3
"""A service whose store does not answer serves all the same, after so long."""


class UnusableStore(Exception):
    """The store contains data that this wdm does not read."""


def main() -> int:
    """Run the service until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = Settings.read(environment(os.environ))
        _log_to_stderr(settings)
    except UsageError as error:
        return _refuse(str(error), 2)
    _allow_many_sockets()
    try:
        uvloop.run(_serve(settings))
    except UsageError as error:
        return _refuse(str(error), 2)
    except UnusableStore as error:
        return _refuse(str(error), 4)
    except OSError as error:
        return _refuse(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}", 4)
    return 0


def _refuse(why: str, code: int) -> int:
    print(f"error: {why}", file=sys.stderr)
    return code


async def _serve(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    process = ServiceProcess(settings)
    runner = BoundedRunner(application(process), access_log=None, shutdown_timeout=settings.limit_ms / 1000)
    await runner.setup()
    await process.start()
    refused = start_task(process.store.refused(), "store format")
    ended = start_task(stopped.wait(), "signal")
    await process.store.attempted(FIRST_ATTEMPT_WITHIN_S)
    if not refused.done():
        await web.TCPSite(runner, settings.host, settings.port, backlog=4096).start()
        _collect_rarely()
        structlog.get_logger().info("serving", listen=f"{settings.host}:{settings.port}", protocol=settings.protocol)
        await asyncio.wait((refused, ended), return_when=asyncio.FIRST_COMPLETED)
    await runner.cleanup()  # drains: it waits for requests whose connections are open, and for no client that has left
    await process.stop(END_WITHIN_S)
    why = refused.result() if refused.done() else ""
    await end_tasks((refused, ended))
    if why:
        raise UnusableStore(why)


def _collect_rarely() -> None:
    """Collect garbage rarely: almost no object here is in a cycle, and the default (700 objects) costs a tenth of all work."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 100)


def _log_to_stderr(settings: Settings) -> None:
    level = logging.getLevelNamesMapping().get(settings.log_level.upper())
    if level is None:
        raise UsageError(f"WDM_LOG_LEVEL={settings.log_level!r} is not one of: debug, info, warning, error")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(node=settings.node)
    bound_logs()


def _allow_many_sockets() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
