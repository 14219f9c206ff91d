"""The clients of a case in a search: the transaction that each has begun, and the answer that each has received."""

from typing import NamedTuple

from harness.explore.case import SearchCase
from harness.explore.node import Execution
from protocols.core import Command
from protocols.outcomes import Decision
from protocols.store.keys import KEPT
from protocols.store.tables import Result

ACKNOWLEDGED, REJECTED, PENDING = "acknowledged", "rejected", "pending"
REPLY_NAMES = {
    Decision.COMMITTED: ACKNOWLEDGED,
    Decision.REFUSED: REJECTED,
    Decision.CONFLICT: REJECTED,
    Decision.ACCEPTED: PENDING,
}
CONCLUDING, UNKNOWN = "concluding", "unknown"
"""The handler of a copy has a rejection, which no client has received; and a rejection that is not final for the request."""

KEY = "key"
"""The idempotency key of a request that has copies."""


class Clients(NamedTuple):
    """The coordinator's clients: ``begun`` has the transaction of each or "", ``replies`` the name of its last reply
    or "".

    ``lives`` counts the coordinator's crashes for as long as a client has still to begin: each life of a coordinator
    names its transactions afresh. Afterwards it is 0, so that states which differ only in a number without a further
    use are one state.
    """

    begun: tuple[str, ...]
    replies: tuple[str, ...]
    lives: int = 0

    def with_replies(self, case: SearchCase, execution: Execution, lives: int) -> "Clients":
        """Return the clients after the replies of an execution, their coordinator having crashed ``lives`` times in
        it.
        """
        replies = list(self.replies)
        for txn, outcome in execution.replies:
            if txn in self.begun:
                name = REPLY_NAMES[outcome.decision]
                replies[self.begun.index(txn)] = CONCLUDING if case.copies and name == REJECTED else name
        return Clients(self.begun, tuple(replies), 0 if all(self.begun) else self.lives + lives)

    def conclusion(self, case: SearchCase, client: int) -> Command:
        """Return the command by which the handler of a copy makes its rejection final. No course depends on the reason."""
        order = case.checkouts[client]
        return Command("reject_checkout", (KEY, KEPT, f"checkout {order}", order, self.begun[client], "timeout"))

    def concluded(self, client: int, result: Result) -> "Clients":
        """Return the clients after that command, as ``protocols.shop.orders`` answers its result."""
        name = {"no": REJECTED, "paid": ACKNOWLEDGED}.get(result[0], UNKNOWN)
        return self._replace(replies=(*self.replies[:client], name, *self.replies[client + 1 :]))
