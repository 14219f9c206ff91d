"""`wdm serve`: the kept runs as pages on this machine."""

import asyncio
import signal
import webbrowser
from pathlib import Path

import click

from wdm import ui
from wdm.exits import OK
from wdm.options import common, option, runs_folder
from wdm.parameters import Whole

PORT = 8765


@click.command()
@common
@option(
    "--port",
    type=Whole(0, 65_535),
    default=PORT,
    show_default=True,
    help="Port on 127.0.0.1; 0 for any free port.",
)
@runs_folder("Folder of the run folders.")
@click.option("--open", "in_browser", is_flag=True, help="Open the page in a browser.")
def serve(port: int, runs_dir: Path, in_browser: bool) -> int:
    """Show the kept runs and the current one in a browser.

    The pages list, filter, open and compare runs. The server listens on 127.0.0.1 and, where the machine has it, on ::1, and
    ends with Ctrl-C.
    """
    asyncio.run(_until_signal(runs_dir, port, in_browser))
    return OK


async def _until_signal(folder: Path, port: int, in_browser: bool) -> None:
    from harness.report.server.app import served  # noqa: PLC0415 - a web server and its templates, for this command alone
    from protocols.service.http import bound_logs  # noqa: PLC0415 - the same

    bound_logs()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with served(folder, port) as url:
        click.echo(url)
        ui.progress("Ctrl-C ends it")
        if in_browser:
            await asyncio.to_thread(webbrowser.open, url)
        await stopped.wait()
