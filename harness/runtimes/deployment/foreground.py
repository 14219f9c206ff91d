"""A deployment that is up until a signal ends it."""

import asyncio
import signal
from collections.abc import Callable

from harness.runtimes import table
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.deployment.supervisor import Supervisor, unbroken
from protocols.service.tasks import start_task


async def run(
    spec: Spec,
    folder: StateFolder,
    ready: Callable[[Supervisor], None],
    say: Callable[[str], None] = lambda _: None,
) -> signal.Signals:
    """Up until SIGINT or SIGTERM, then down. `ready` is called once everything serves. Returns the signal."""
    say = unbroken(say)
    platform = table.deployable(spec.runtime).make_platform(spec, folder, say, volatile=False)
    supervisor = Supervisor(spec, folder, platform, say)
    loop = asyncio.get_running_loop()
    told: asyncio.Future[signal.Signals] = loop.create_future()

    def tell(number: signal.Signals) -> None:
        if not told.done():
            told.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup ignores SIGHUP for us, and means it; a shell's `&` ignores SIGINT too, but then somebody sent it on purpose
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, tell, number)
    starting = start_task(supervisor.start(), "start")
    await asyncio.wait((starting, told), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait((starting,))
    if not starting.cancelled():
        starting.result()
        try:
            if not told.done():
                ready(supervisor)
            await told
        finally:
            say("stopping")
            await supervisor.stop()
    return told.result()
