"""A deployment that runs until a signal ends it."""

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
    """Run a deployment until SIGINT, SIGTERM or SIGHUP, then stop it. Return the signal.

    `ready` is called once every node serves. Raises the errors of `Supervisor.start`.
    """
    say = unbroken(say)
    platform = table.deployable(spec.runtime).make_platform(spec, folder, say, volatile=False)
    supervisor = Supervisor(spec, folder, platform, say)
    loop = asyncio.get_running_loop()
    received: asyncio.Future[signal.Signals] = loop.create_future()

    def on_signal(number: signal.Signals) -> None:
        if not received.done():
            received.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` has this process ignore SIGHUP, which stays so. A shell's `&` has it ignore SIGINT as well, but a SIGINT
        # that arrives then was sent on purpose.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, on_signal, number)
    starting = start_task(supervisor.start(), "start")
    await asyncio.wait((starting, received), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait((starting,))
    if not starting.cancelled():
        starting.result()
        try:
            if not received.done():
                ready(supervisor)
            await received
        finally:
            say("stopping")
            await supervisor.stop()
    return received.result()
