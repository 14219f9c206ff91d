"""Running in real time: to the end, or until somebody has seen enough."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from protocols.service.tasks import start_task


def run(work: Coroutine[Any, Any, None]) -> bool:
    """Whether it was interrupted; it then was cancelled, and has cleaned up."""
    return asyncio.run(_until_interrupted(work))


async def _until_interrupted(work: Coroutine[Any, Any, None]) -> bool:
    """Whether SIGINT, SIGTERM or SIGHUP ended it. Only the first counts: cleaning up is not to be interrupted."""
    loop = asyncio.get_running_loop()
    task = start_task(work, "run")
    told = False

    def stop() -> None:
        nonlocal told
        if not told:
            told = True
            task.cancel()

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    # nohup ignores SIGHUP for us, and means it
    numbers = [one for one in numbers if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN]
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        await asyncio.wait((task,))
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
    if not task.cancelled():
        task.result()
    return told
