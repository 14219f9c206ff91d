"""The progress of a run: a picture that changes in a terminal, lines elsewhere.

It reads the records of the run and has no access to the run itself.
"""

import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from harness.history import Event, Operation
from harness.report.live_stats import OUTCOMES, LiveStats
from harness.report.text import READERS, describe_progress
from wdm import ui

if TYPE_CHECKING:  # imported for a terminal only
    from rich import live
    from rich.console import RenderableType

REFRESH_S = 0.25
LINE_EVERY_S = 5.0
COLOURS = {"ok": "green", "fail": "yellow", "unknown": "red"}


class Progress:
    """The progress of one run, which receives every operation and event. It is a context manager around the run."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._stats = LiveStats()
        self._began = self._shown = time.monotonic()
        self._live: live.Live | None = None
        if sys.stderr.isatty() and not ui.Output.quiet:
            from rich.console import Console  # noqa: PLC0415 - see above
            from rich.live import Live  # noqa: PLC0415

            console = Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")) or None)
            self._live = Live(console=console, auto_refresh=False, transient=True, get_renderable=self._picture)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, record: Operation | Event) -> None:
        self._stats(record)
        if isinstance(record, Event):
            words = describe_progress(record)
            if words and not self._live:
                self._say(words)
        now = time.monotonic()
        if self._live:
            if now - self._shown >= REFRESH_S:
                self._shown = now
                self._live.refresh()
        elif now - self._shown >= LINE_EVERY_S and self._stats.phase in {"load", "search"}:
            self._shown = now
            self._say("; ".join(filter(None, (f"checkouts: {self._stats.outcome_counts()}", self._stats.speed()))))

    # ------------------------------------------------------------ inside

    def _say(self, words: str) -> None:
        ui.progress(f"{time.monotonic() - self._began:6.1f} s  {words}")

    def _picture(self) -> "RenderableType":
        from rich.console import Group  # noqa: PLC0415 - see above
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        stats = self._stats
        head = Text.assemble(
            (self._title, "bold"),
            f"   {stats.phase}   {time.monotonic() - self._began:.0f} s   ",
            (stats.speed(), "cyan"),
        )
        table = Table("", *READERS.values(), box=None, pad_edge=False)
        for operation in dict.fromkeys(name for name, _ in stats.tally):
            counts = (Text(str(stats.tally[operation, outcome]), style=COLOURS[outcome]) for outcome in OUTCOMES)
            table.add_row(operation, *counts)
        left = ", ".join(f"{count} {name}" for name, count in stats.left.items()) or "nothing"
        lines = [
            Text(f"faults now: {', '.join(stats.faults) or 'none'}", style="red" if stats.faults else ""),
            Text(f"not running: {', '.join(stats.down) or 'none'}"),
            Text(f"unfinished: {left}"),
        ]
        return Group(head, table, *lines)
