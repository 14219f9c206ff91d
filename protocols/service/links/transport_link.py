"""The link of a service process, for any transport."""

from typing import Protocol

from protocols.ports import Link
from protocols.service.links import MessageCounts, Receive
from protocols.service.links.dead_letter_log import DeadLetterLog


class TransportLink(Link, Protocol):
    """A link of a service process, from `start` to `stop`.

    `waiting` counts the messages that have not left yet. `up`: they can leave; `trouble` is the reason why not, or empty.
    `dead` are the messages that this process can never carry out.
    """

    counts: MessageCounts
    dead: DeadLetterLog

    @property
    def up(self) -> bool: ...

    @property
    def trouble(self) -> str: ...

    @property
    def waiting(self) -> int: ...

    async def start(self, receive: Receive) -> None: ...

    async def stop(self) -> None: ...
