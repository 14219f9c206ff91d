"""The replies of a store with copies: those of a bundle count when it is confirmed, all at once. Rules 1 to 3 of the package."""

from collections import deque
from collections.abc import Callable
from typing import Any

from protocols.core import Command


class Unconfirmed(Exception):
    """A bundle that may be lost: its commands must count as unknown, and its connection must end."""


class Bundles:
    """The bundles that one connection has sent, in order. `enabled(safeguard)` is False for a rule that is switched off."""

    def __init__(self, enabled: Callable[[str], bool]) -> None:
        self._confirms = enabled("confirm")
        self.ends_with_write = enabled("write-with-reads")
        self._sent: deque[tuple[int, list[Any]]] = deque()

    @property
    def unconfirmed(self) -> bool:
        """Return whether a bundle was sent and is not confirmed."""
        return bool(self._sent)

    def clear(self) -> None:
        """Forget the bundles of a former connection."""
        self._sent.clear()

    def begin(self, commands: int, epoch: int) -> tuple[Command, ...]:
        """Add a bundle; return the commands that must follow its own, before the WAIT."""
        end = (Command("bundle_end", (epoch,)),) if self.ends_with_write else ()
        self._sent.append((commands + len(end) + 1, []))
        return end

    def take(self, reply: Any, in_epoch: Callable[[Any], bool]) -> list[Any]:
        """Take the next reply. Return those of a bundle's commands with its last one, before that an empty list.

        `in_epoch(reply)` says whether a reply to `bundle_end` says that the epoch was right. Raises `Unconfirmed`.
        """
        size, replies = self._sent[0]
        replies.append(reply)
        if len(replies) < size:
            return []
        self._sent.popleft()
        copies = replies.pop()
        if self.ends_with_write and not in_epoch(end := replies.pop()):
            raise Unconfirmed(f"the primary has another epoch: {end!r:.100}")
        if self._confirms and not (type(copies) is int and copies):
            raise Unconfirmed("no other copy of the store has confirmed the commands")
        return replies
