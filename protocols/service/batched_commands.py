"""Commands of many transactions, submitted as one.

A protocol names commands that take any number of transactions and whose result no role needs (`Protocol.batched`), such as the
end record of two-phase commit. A crash before the submission loses them, which costs a recovery and nothing else.
"""

from collections.abc import Callable
from functools import partial

from protocols.core import Command
from protocols.ports import Clock, Store
from protocols.store.tables import Result

BATCH_WINDOW_MS = 10.0
MOST_PER_COMMAND = 500  # transactions: a longer command would keep the store from all others


class BatchedCommands:
    """Batches by command name. `unconfirmed` has the transactions whose command is not answered yet, in order.

    `refused` is called once, with the store's words, for each batch that the store will never execute.
    """

    def __init__(self, store: Store, clock: Clock, refused: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._refused = refused
        self._next: dict[str, list[str]] = {}
        self.unconfirmed: dict[str, None] = {}

    def add(self, command: Command) -> None:
        """Submit the command with all others of its name, within `BATCH_WINDOW_MS`. Its arguments are transactions."""
        if not self._next:
            self._clock.call_later(BATCH_WINDOW_MS, self._submit)
        self._next.setdefault(command.name, []).extend(command.args)
        self.unconfirmed.update(dict.fromkeys(command.args))

    def _submit(self) -> None:
        batch, self._next = self._next, {}
        for name, txns in batch.items():
            for first in range(0, len(txns), MOST_PER_COMMAND):
                args = tuple(txns[first : first + MOST_PER_COMMAND])
                self._store.submit(Command(name, args), partial(self._confirm, args), partial(self._refuse, args))

    def _confirm(self, txns: tuple[str, ...], _: Result) -> None:
        for txn in txns:
            self.unconfirmed.pop(txn, None)

    def _refuse(self, txns: tuple[str, ...], why: str) -> None:
        # A refused batch is no longer under way: its transactions are left to the next sweep.
        self._refused(why)
        self._confirm(txns, ())
