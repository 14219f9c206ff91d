"""The dead letters of one process: messages that it can never carry out, with the reason."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import structlog

from protocols.service.bounded_log import LONGEST_TEXT, BoundedLog

REMEMBERED = 100
LONGEST_BODY = 200

log = BoundedLog(structlog.get_logger())


class DeadLetterLog:
    """A bounded record: the number since the start of the process, and reason and first bytes of the last ones."""

    def __init__(self) -> None:
        self.count = 0
        self._last: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)

    def add(self, body: bytes, why: str, messages: int = 1) -> None:
        """Record a batch of `messages` messages, encoded as `body`."""
        self.count += messages
        why = why[:LONGEST_TEXT]
        self._last.append({"why": why, "messages": messages, "size": len(body), "begins": str(body[:LONGEST_BODY])})
        log.error("message dead-lettered", reason=why, size=len(body), in_all=self.count)

    def last(self) -> Sequence[dict[str, Any]]:
        """Return `[{"why", "messages", "size", "begins"}]`, the oldest first; `size` is in bytes, of the whole batch."""
        return tuple(self._last)
