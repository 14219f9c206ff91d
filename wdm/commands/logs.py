"""`wdm logs`: the logs of the nodes."""

import time
from collections import deque
from pathlib import Path

import click

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.state import StateFolder
from protocols.errors import UsageError
from wdm import streams, ui
from wdm.options import deployment, hint
from wdm.parameters import Text, Whole

POLL_S = 0.2
MOST_LINES = 1_000_000_000


class LogFollower:
    """One log file, with the position of the last read."""

    def __init__(self, file: Path, prefix: str) -> None:
        self._file = file
        self._prefix = prefix
        self._at = 0
        self._rest = ""

    def last(self, lines: int) -> None:
        """Print its last lines; all lines for 0."""
        self._print(deque(self._read(), maxlen=lines or None))

    def more(self) -> None:
        """Print the lines since the last read."""
        self._print(self._read())

    def _read(self) -> list[str]:
        with self._file.open(encoding="utf-8", errors="replace") as log:
            log.seek(self._at)
            text = self._rest + log.read()
            self._at = log.tell()
        *whole, self._rest = text.split("\n")
        return whole

    def _print(self, lines: list[str] | deque[str]) -> None:
        for line in lines:
            click.echo(f"{self._prefix}{line}")


@click.command()
@deployment
@click.argument("name", type=Text(), required=False)
@click.option("--follow", "-f", is_flag=True, help="Print new lines as they come, until Ctrl-C.")
@click.option(
    "--lines",
    "-n",
    type=Whole(0, MOST_LINES),
    default=100,
    show_default=True,
    help="Number of last lines of each log; 0 for all.",
)
def logs(folder: StateFolder, name: str | None, follow: bool, lines: int) -> int:
    """Show the logs of the nodes, also after `wdm down`.

    NAME is a node (order-1, stock-store, gateway, supervisor) or a service (order); without NAME, all nodes. A log covers all
    lives of its node.
    """
    files = _chosen(folder, name)
    width = max(len(file.stem) for file in files)
    tails = [LogFollower(file, f"{file.stem:<{width}} | " if len(files) > 1 else "") for file in files]
    for tail in tails:
        tail.last(lines)
    while follow and not streams.reader_gone():
        time.sleep(POLL_S)
        for tail in tails:
            tail.more()
    ui.next_step(f"`wdm logs{hint(folder)} {name or 'order-1'} --follow`")
    return 0


def _chosen(folder: StateFolder, name: str | None) -> list[Path]:
    files = sorted(folder.logs.glob("*.log"))
    if not files:
        raise EnvironmentFailure(
            f"there are no logs in {folder.path}; start a shop with `wdm up`, or name its --state-dir"
        )
    chosen = [file for file in files if not name or file.stem == name or file.stem.startswith(f"{name}-")]
    if not chosen:
        raise UsageError(f"no node or service {name!r}; there are: {', '.join(file.stem for file in files)}")
    return chosen
