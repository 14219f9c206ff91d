"""Runs in real time: to their end, or until a signal interrupts them."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from protocols.service.tasks import start_task


def run(work: Coroutine[Any, Any, None]) -> bool:
    """Run `work` to its end; return whether a signal interrupted it. It then was cancelled, and has cleaned up."""
    return asyncio.run(_until_interrupted(work))


async def _until_interrupted(work: Coroutine[Any, Any, None]) -> bool:
    """Return whether SIGINT, SIGTERM or SIGHUP ended `work`. Only the first has an effect: cleaning up must come to its end."""
    loop = asyncio.get_running_loop()
    task = start_task(work, "run")
    interrupted = False

    def stop() -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            task.cancel()

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    # `nohup` has this process ignore SIGHUP, which stays so.
    numbers = [number for number in numbers if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        await asyncio.wait((task,))
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
    if not task.cancelled():
        task.result()
    return interrupted
