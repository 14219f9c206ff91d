"""The volatile memory of one node about one transaction: a crash, or an abandonment, loses all of it."""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, final

from protocols.core import Event
from protocols.outcomes import Outcome
from protocols.ports import Timer
from protocols.service.receipt import Receipt


@final
class CommandRefused:
    """An event of the driver's own: the store refused a command whose result the role waits for."""


COMMAND_REFUSED = CommandRefused()


class LiveTransaction:
    """One transaction on this node: its volatile state, its waiting events, its timers, and the client's callback.

    `receipts` belong to messages whose links wait for the end of their effects. `cause` is the event whose effects are being
    carried out, `result` the answer of the store that continues them. `abandoned`: the store refused a command of it.
    """

    __slots__ = ("abandoned", "busy", "cause", "events", "receipts", "reply", "result", "state", "timers", "txn")

    def __init__(self, txn: str) -> None:
        self.txn = txn
        self.state: Any = None
        self.busy = False
        self.events: deque[Event | CommandRefused] = deque()
        self.timers: dict[str, Timer] = {}
        self.reply: Callable[[Outcome | None], None] | None = None
        self.receipts: list[Receipt] = []
        self.cause: Event | None = None
        self.result: Event | None = None
        self.abandoned = False

    def receipts_of(self, event: Event | None) -> list[Receipt]:
        return [receipt for receipt in self.receipts if receipt.event == event]


class Snapshot(NamedTuple):
    """The transactions that this node has in memory, and those that it has abandoned, at one moment."""

    held: frozenset[str] = frozenset()
    abandoned: frozenset[str] = frozenset()


NOTHING_HELD = Snapshot()
