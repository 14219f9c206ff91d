"""A run as it goes: a picture that changes where there is a terminal, lines where there is none.

A reader of what the run records; nothing here reaches into it.
"""

import sys
import time
from collections import Counter
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.history import Event, Operation
from harness.report.text import last_words
from wdm import ui

REFRESH_S = 0.25
LINE_EVERY_S = 5.0
OUTCOMES = ("ok", "fail", "unknown")
COLOURS = {"ok": "green", "fail": "yellow", "unknown": "red"}


class Progress:
    """Hears every operation and event of one run. Use it as a context manager around the run."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._tally: Counter[tuple[str, str]] = Counter()
        self._active: dict[tuple[str, str], None] = {}
        self._down: dict[str, str] = {}
        self._phase = "up"
        self._left: dict[str, int] = {}
        self._began = self._shown = time.monotonic()
        self._live: Live | None = None
        if sys.stderr.isatty() and not ui.Voice.quiet:
            console = Console(stderr=True)
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
        if isinstance(record, Operation):
            self._tally[record.op, record.outcome] += 1
        else:
            self._note(record)
        now = time.monotonic()
        if self._live:
            if now - self._shown >= REFRESH_S:
                self._shown = now
                self._live.refresh()
        elif now - self._shown >= LINE_EVERY_S and self._phase == "load":
            self._shown = now
            self._say(f"checkouts: {self._words('checkout')}")

    # ------------------------------------------------------------ inside

    def _note(self, event: Event) -> None:
        data = event.data
        fault = (str(data.get("fault")), str(data.get("target")))
        match event.kind:
            case "phase":
                self._phase = str(data.get("name"))
            case "fault-start":
                self._active[fault] = None
            case "fault-end":
                self._active.pop(fault, None)
            case "healed":
                self._active.clear()
            case "probe":
                self._left = {name: count for name, count in data.items() if count and isinstance(count, int)}
            case "node":
                self._down[str(data.get("name"))] = str(data.get("state"))
        words = last_words(event)
        if words and not self._live:
            self._say(words)

    def _say(self, words: str) -> None:
        ui.say(f"{time.monotonic() - self._began:6.1f} s  {words}")

    def _words(self, operation: str) -> str:
        return ", ".join(f"{self._tally[operation, outcome]} {outcome}" for outcome in OUTCOMES)

    def _picture(self) -> RenderableType:
        head = f"{self._title}   {self._phase}   {time.monotonic() - self._began:.0f} s"
        table = Table("", *OUTCOMES, box=None, pad_edge=False)
        for operation in dict.fromkeys(name for name, _ in self._tally):
            counts = (Text(str(self._tally[operation, each]), style=COLOURS[each]) for each in OUTCOMES)
            table.add_row(operation, *counts)
        faults = ", ".join(f"{fault} {target}" for fault, target in self._active) or "none"
        nodes = ", ".join(f"{name} {state}" for name, state in self._down.items() if state != "running")
        left = ", ".join(f"{count} {name}" for name, count in self._left.items()) or "nothing"
        lines = [f"faults now: {faults}", f"not running: {nodes or 'none'}", f"unfinished inside: {left}"]
        return Group(Text(head, style="bold"), table, *map(Text, lines))
