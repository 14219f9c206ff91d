"""A log of events that other processes cause: one line a second of each kind, however many events there are."""

import time
from typing import Any

EVERY_S = 1.0
LONGEST_TEXT = 300
"""The longest foreign text in a line, in characters."""


class BoundedLog:
    """A structlog logger behind a limit; the next line of a kind counts the lines left out, as `left_out`."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._next_s: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def error(self, event: str, **about: Any) -> None:
        self._write(self._log.error, event, about)

    def warning(self, event: str, **about: Any) -> None:
        self._write(self._log.warning, event, about)

    def _write(self, write: Any, event: str, about: dict[str, Any]) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s.get(event, 0.0):
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return
        self._next_s[event] = now_s + EVERY_S
        left_out = self._left_out.pop(event, 0)
        write(event, **about, **({"left_out": left_out} if left_out else {}))
