"""The driver: carries out the effects of one role. Each service process has one, the same in every runtime.

The rules:

1. Events of one transaction are handled one after another, in order of arrival; different transactions run side by side.
2. While a `Persist` is under way no effect after it is carried out, and the other events of the transaction wait: the record
   must be durable before any message or reply may reveal it (the forced write of Mohan'86, section 2).
3. The result of a `Persist` is the transaction's next event, before those that arrived meanwhile.
4. A crash may fall between any two effects. Each such point has a name (`order:after-persist:commit`): the failpoint.
5. A store may refuse a command for good, because of the values in a message. Then this node abandons the transaction, as if
   it had crashed just before the command: volatile state and timers go, the client's outcome is unknown, the sender of the
   message receives a rejection, and the records in the stores are recovered by a later sweep.
"""

from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import Any

from protocols.core import (
    CancelTimer,
    Command,
    Config,
    Do,
    Done,
    Effect,
    Effects,
    Event,
    Persist,
    Received,
    Recovered,
    Reply,
    Request,
    Role,
    Send,
    SetTimer,
    Start,
    TimerFired,
)
from protocols.outcomes import Outcome
from protocols.ports import Clock, Link, Store
from protocols.service.batched_commands import BatchedCommands
from protocols.service.failpoints import Failpoint, effect_name
from protocols.service.live_transaction import COMMAND_REFUSED, NOTHING_HELD, CommandRefused, LiveTransaction, Snapshot
from protocols.service.receipt import Receipt
from protocols.service.trace import Observer, describe_effect, describe_event, result_code
from protocols.store.tables import Result


class Driver:
    """The driver of one role.

    `ended` is called with the id of each transaction that has ended on this node. `failpoint` is called at every point
    between two effects; None costs nothing. It and `link` may be exchanged while the driver runs. `rng` spreads timers.
    `observer` receives every event and effect of every transaction; None costs nothing. `batched` and `fire_and_forget` are
    names of commands: see `Protocol.batched` and `Protocol.fire_and_forget`.
    """

    def __init__(
        self,
        service: str,
        role: Role,
        config: Config,
        store: Store,
        link: Link,
        clock: Clock,
        failpoint: Failpoint | None = None,
        ended: Callable[[str], None] = lambda _: None,
        *,
        rng: Random | None = None,
        batched: frozenset[str] = frozenset(),
        fire_and_forget: frozenset[str] = frozenset(),
    ) -> None:
        self._service = service
        self._role = role
        self._config = config
        self._store = store
        self.link = link
        self._clock = clock
        self.failpoint = failpoint
        self.observer: Observer | None = None
        self._ended = ended
        self._rng = rng or Random(0)
        self._live: dict[str, LiveTransaction] = {}
        self._batched = batched
        self._batches = BatchedCommands(store, clock, partial(self._reject, ()))
        self._fire_and_forget = fire_and_forget
        self._abandoned: dict[str, None] = {}  # begun here and abandoned, until the store has no record of them
        self.forced = 0
        self.refused = 0

    @property
    def live(self) -> int:
        """Return the number of transactions that this node has in memory."""
        return len(self._live) + len(self._batches.unconfirmed)

    def start(self, txn: str, request: Request, reply: Callable[[Outcome | None], None]) -> None:
        """Begin a transaction. `reply` receives its outcome, or None if this node abandons it, or nothing at all."""
        transaction = self._new(txn)
        transaction.reply = reply
        self._enqueue(transaction, Start(txn, request))

    def receive(
        self,
        message: Any,
        sender: str,
        handled: Callable[[], None] | None = None,
        rejected: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Handle a message of another node.

        `handled` is called once every effect of it has been carried out, forced writes and their results included. If the
        message can never be carried out, `rejected` is called before that, with the reason.
        """
        event = Received(message, sender)
        transaction = self._live.get(message.txn) or self._new(message.txn)
        if handled is not None:
            transaction.receipts.append(Receipt(event, handled, rejected))
        self._enqueue(transaction, event)

    def snapshot(self) -> Snapshot:
        """Return the state that `recover` compares with: take it before the request for unfinished transactions.

        A transaction is held while it has a state or a batched command under way; a node that only answers inquiries about a
        transaction does not hold it.
        """
        held = (txn for txn, transaction in self._live.items() if transaction.state is not None)
        return Snapshot(frozenset(self._batches.unconfirmed).union(held), frozenset(self._abandoned))

    def recover(self, unfinished: Iterable[tuple[str, tuple[Any, ...]]], before: Snapshot = NOTHING_HELD) -> list[str]:
        """Take up transactions that the store has as unfinished and this node does not hold; return their ids.

        `unfinished` are pairs `(txn, record)`. `before` was taken before the request: a transaction that ended since then
        is still in the store's answer, and must not run twice. An abandoned transaction without a record has ended.
        """
        held = self.snapshot().held | before.held
        records = [(txn, record) for txn, record in unfinished if txn not in held]
        open_txns = {txn for txn, _ in records} | held
        for txn in [txn for txn in self._abandoned if txn in before.abandoned and txn not in open_txns]:
            del self._abandoned[txn]
            self._ended(txn)
        for txn, record in records:
            self._enqueue(self._live.get(txn) or self._new(txn), Recovered(record))
        return [txn for txn, _ in records]

    # ------------------------------------------------------------ events

    def _new(self, txn: str) -> LiveTransaction:
        transaction = self._live[txn] = LiveTransaction(txn)
        return transaction

    def _enqueue(self, transaction: LiveTransaction, event: Event | CommandRefused) -> None:
        if transaction.busy and event in transaction.events:
            return  # a message repeated while the first one waits: one answer is enough
        transaction.events.append(event)
        self._process(transaction)

    def _process(self, transaction: LiveTransaction) -> None:
        """Handle waiting events until there are none, or until one of them has begun a forced write."""
        while transaction.events and not transaction.busy:
            event = transaction.events.popleft()
            if type(event) is CommandRefused:
                self._abandon(transaction)
                continue
            # The result of a forced write continues the effects of the event before it, so that event stays the cause: a
            # later refusal is reported to the sender of the message that began it all.
            if event is not transaction.result:
                transaction.cause = event
            if self.observer is not None:
                self.observer(transaction.txn, *describe_event(event))
            self._carry_out(transaction, self._step(transaction, event))
        if transaction.busy:
            return
        if transaction.state is None:
            self._forget(transaction)
        if transaction.receipts:
            # Taken first: a callback may bring the next message of this transaction.
            receipts, transaction.receipts = transaction.receipts, []
            for receipt in receipts:
                receipt.close()

    def _step(self, transaction: LiveTransaction, event: Event) -> Effects:
        try:
            transaction.state, effects = self._role.step(self._config, transaction.state, event)
        except Exception as error:
            # Values of a message that a role cannot handle (a branch that does not exist) are the sender's fault and cost
            # one message; the same failure on any other event is a defect of the role, and hiding it would lose transactions.
            if type(event) is not Received:
                raise
            self._reject(transaction.receipts_of(event), f"{type(error).__name__}: {error}")
            return ()
        return effects

    def _forget(self, transaction: LiveTransaction) -> None:
        for timer in transaction.timers.values():
            timer.cancel()
        transaction.timers.clear()
        # A callback of this turn may have begun the same id anew, as a recovered transaction: that one stays.
        if self._live.get(transaction.txn) is transaction:
            del self._live[transaction.txn]
            if not transaction.abandoned:
                if self._abandoned:
                    self._abandoned.pop(transaction.txn, None)
                self._ended(transaction.txn)

    # ------------------------------------------------------------ effects

    def _carry_out(self, transaction: LiveTransaction, effects: Effects) -> None:
        for position, effect in enumerate(effects):
            if self.failpoint is not None:
                self.failpoint(f"{self._service}:before-{effect_name(effect)}")
            if self.observer is not None and (words := describe_effect(effect)):
                self.observer(transaction.txn, *words)
            if type(effect) is Persist:
                # The rest waits for the answer: to send it now would reveal a decision that a crash could still undo.
                self._persist(transaction, effect, effects[position + 1 :])
                return
            self._carry_out_one(transaction, effect)
            if self.failpoint is not None:
                self.failpoint(f"{self._service}:after-{effect_name(effect)}")

    def _carry_out_one(self, transaction: LiveTransaction, effect: Effect) -> None:
        # Classes alone, without a pattern for each field: this runs a dozen times a transaction.
        match effect:
            case Send():
                self.link.send(effect.to, effect.message)
            case Do():
                self._submit(transaction, effect.command)
            case SetTimer():
                self._set_timer(transaction, effect)
            case CancelTimer():
                self._cancel(transaction, effect.name)
            case Reply():
                if transaction.reply is not None:
                    transaction.reply(effect.outcome)

    def _submit(self, transaction: LiveTransaction, command: Command) -> None:
        if command.name in self._batched:
            self._batches.add(command)
        elif command.name in self._fire_and_forget:
            self._store.submit(command, _ignore, partial(self._reject, ()))
        else:
            self._do(transaction, command)

    def _set_timer(self, transaction: LiveTransaction, timer: SetTimer) -> None:
        name = timer.name
        self._cancel(transaction, name)
        wait_ms = timer.after_ms + timer.spread_ms * self._rng.random() if timer.spread_ms else timer.after_ms
        transaction.timers[name] = self._clock.call_later(wait_ms, lambda: self._fire(transaction, name))

    def _do(self, transaction: LiveTransaction, command: Command) -> None:
        """Submit a command whose result is an event later on; only the receipt of its message waits for it."""
        txn, receipts = transaction.txn, transaction.receipts_of(transaction.cause)
        expects_result = transaction.state is not None
        for receipt in receipts:
            receipt.open += 1

        def close() -> None:
            for receipt in receipts:
                receipt.close()

        def answered(result: Result) -> None:
            self._enqueue(self._live.get(txn) or self._new(txn), Done(command, result))
            close()

        def refused(why: str) -> None:
            self._reject(receipts, why)
            # A role that keeps a state waits for this result, which now never comes: without this event a saga whose start
            # record is refused would wait for ever, and its place among the unended transactions would be lost.
            if expects_result and self._live.get(txn) is transaction:
                self._enqueue(transaction, COMMAND_REFUSED)
            close()

        self._store.submit(command, answered, refused)

    def _persist(self, transaction: LiveTransaction, effect: Persist, rest: Effects) -> None:
        transaction.busy = True
        self.forced += 1
        self._store.submit(
            effect.command,
            lambda result: self._persisted(transaction, effect, rest, result),
            partial(self._persist_refused, transaction),
        )

    def _persisted(self, transaction: LiveTransaction, effect: Persist, rest: Effects, result: Result) -> None:
        if self.observer is not None:
            self.observer(transaction.txn, f"persisted:{effect.command.name}", result_code(result))
        if self.failpoint is not None:
            self.failpoint(f"{self._service}:after-{effect_name(effect)}")
        transaction.busy = False
        transaction.result = Done(effect.command, result)
        # Before the events that waited: the role decides about them with the record in place.
        transaction.events.appendleft(transaction.result)
        self._carry_out(transaction, rest)
        self._process(transaction)

    def _persist_refused(self, transaction: LiveTransaction, why: str) -> None:
        self._reject(transaction.receipts_of(transaction.cause), why)
        transaction.busy = False
        self._abandon(transaction)
        self._process(transaction)

    def _abandon(self, transaction: LiveTransaction) -> None:
        """Forget a transaction as if this node had crashed; events that wait find it without a state.

        Its id has not ended with that: a record may be in the stores, so other nodes must remember the transaction until a
        sweep has recovered it, or has found no record (`recover`).
        """
        transaction.state, transaction.abandoned = None, True
        for name in tuple(transaction.timers):
            self._cancel(transaction, name)
        if transaction.reply is not None:
            # The client need not wait for its time limit: nothing here will ever send it an outcome.
            self._abandoned[transaction.txn] = None
            reply, transaction.reply = transaction.reply, None
            reply(None)

    def _reject(self, receipts: Iterable[Receipt], why: str) -> None:
        self.refused += 1
        for receipt in receipts:
            receipt.why = receipt.why or why or "refused"

    def _cancel(self, transaction: LiveTransaction, name: str) -> None:
        timer = transaction.timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _fire(self, transaction: LiveTransaction, name: str) -> None:
        transaction.timers.pop(name, None)
        self._enqueue(self._live.get(transaction.txn) or self._new(transaction.txn), TimerFired(name))


def _ignore(_: Result) -> None:
    """Drop the result of a fire-and-forget command."""
