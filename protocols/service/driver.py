"""The driver: carries out what a role asks for. One for each service process, the same in every runtime.

Events of one transaction are handled one after another, in order; different transactions run side by side. While a
``Persist`` is under way nothing after it happens, and the transaction's other events wait.

A store may refuse a command for good, because of what a message says. Then this node forgets the transaction, as if it had
died before the command: what there is of it in the stores is recovered, and whoever brought the message is told.
"""

from collections import deque
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
    Outcome,
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
from protocols.ports import Clock, Link, Result, Store, Timer
from protocols.service.receipt import Receipt
from protocols.service.trace import Observer, code, done, heard

Failpoint = Callable[[str], None]

GATHERED_MS = 10.0
AT_ONCE = 500  # arguments of one command


class _Instance:
    """One transaction on this node: its volatile state, the events that wait, its timers, who waits for the outcome.

    ``receipts`` are of messages whose links want to know when they have been carried out. ``cause`` is the event that led to
    what is being done, ``answer`` the answer of the store that goes on with it. ``given_up``: a command of it was refused.
    """

    __slots__ = ("answer", "busy", "cause", "events", "given_up", "receipts", "reply", "state", "timers", "txn")

    def __init__(self, txn: str) -> None:
        self.txn = txn
        self.state: Any = None
        self.busy = False
        self.events: deque[Event] = deque()
        self.timers: dict[str, Timer] = {}
        self.reply: Callable[[Outcome], None] | None = None
        self.receipts: list[Receipt] = []
        self.cause: Event | None = None
        self.answer: Event | None = None
        self.given_up = False

    def receipts_of(self, event: Event | None) -> list[Receipt]:
        return [receipt for receipt in self.receipts if receipt.event == event]


class Driver:
    """Runs one role. ``ended`` is called with the id of each transaction that this node no longer keeps in memory.

    ``failpoint`` is told the name of every point between two effects (``order:after-persist:commit``): a crash may be
    placed there. None costs nothing. It and ``link`` may be exchanged while the driver runs. ``rng`` spreads timers.
    ``observer`` hears every event and effect of every transaction; None costs nothing. ``lazy``, ``unheard``: see ``Protocol``.
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
        lazy: frozenset[str] = frozenset(),
        unheard: frozenset[str] = frozenset(),
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
        self._live: dict[str, _Instance] = {}
        self._lazy = lazy
        self._unheard = unheard
        self._gathered: dict[str, list[str]] = {}
        self._unconfirmed: dict[str, None] = {}  # what lazy commands are about, until they are answered
        self.forced = 0
        self.refused = 0

    @property
    def live(self) -> int:
        """How many transactions this node has in memory."""
        return len(self._live) + len(self._unconfirmed)

    def start(self, txn: str, request: Request, reply: Callable[[Outcome], None]) -> None:
        """Begin a transaction; ``reply`` hears its outcome, if there ever is one."""
        instance = self._live[txn] = _Instance(txn)
        instance.reply = reply
        self._tell(txn, Start(txn, request))

    def receive(
        self,
        message: Any,
        sender: str,
        handled: Callable[[], None] | None = None,
        rejected: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``handled`` is called once every effect of the message has been carried out, forced writes and answers included.

        If the message can never be carried out, ``rejected`` is called before it, with the reason.
        """
        event = Received(message, sender)
        self._tell(message.txn, event, Receipt(event, handled, rejected) if handled is not None else None)

    def held(self) -> frozenset[str]:
        """The transactions that this node has a state of, or a lazy command; one that only answers somebody has none."""
        return frozenset(self._unconfirmed).union(
            txn for txn, instance in self._live.items() if instance.state is not None
        )

    def recover(self, found: Iterable[tuple[str, tuple[Any, ...]]], before: frozenset[str] = frozenset()) -> list[str]:
        """Take up what the store knows as unfinished and this node has no state of: ``(txn, record)`` each. Returns which.

        ``before`` is what was held when the store was asked: what has ended since is told as unfinished still.
        """
        held = self.held() | before
        taken_up = [(txn, record) for txn, record in found if txn not in held]
        for txn, record in taken_up:
            self._tell(txn, Recovered(record))
        return [txn for txn, _ in taken_up]

    # ------------------------------------------------------------ events

    def _tell(self, txn: str, event: Event, receipt: Receipt | None = None) -> None:
        instance = self._live.get(txn)
        if instance is None:
            instance = self._live[txn] = _Instance(txn)
        if receipt is not None:
            instance.receipts.append(receipt)
        if instance.busy and event in instance.events:
            return  # a message repeated while the first one waits: one answer is enough
        instance.events.append(event)
        self._work(instance)

    def _work(self, instance: _Instance) -> None:
        while instance.events and not instance.busy:
            event = instance.events.popleft()
            if event is not instance.answer:
                instance.cause = event
            if self.observer is not None:
                self.observer(instance.txn, *heard(event))
            self._carry_out(instance, self._step(instance, event))
        if instance.busy:
            return
        if instance.state is None:
            self._forget(instance)
        if instance.receipts:
            receipts, instance.receipts = instance.receipts, []
            for receipt in receipts:
                receipt.close()

    def _step(self, instance: _Instance, event: Event) -> Effects:
        try:
            instance.state, effects = self._role.step(self._config, instance.state, event)
        except Exception as error:
            if type(event) is not Received:
                raise  # a defect of the role
            self._reject(instance.receipts_of(event), f"{type(error).__name__}: {error}")
            return ()
        return effects

    def _forget(self, instance: _Instance) -> None:
        for timer in instance.timers.values():
            timer.cancel()
        instance.timers.clear()
        if self._live.get(instance.txn) is instance:
            del self._live[instance.txn]
            if not instance.given_up:
                self._ended(instance.txn)

    # ------------------------------------------------------------ effects

    def _carry_out(self, instance: _Instance, effects: Effects) -> None:
        for position, effect in enumerate(effects):
            if self.failpoint is not None:
                self.failpoint(f"{self._service}:before-{label(effect)}")
            if self.observer is not None and (words := done(effect)):
                self.observer(instance.txn, *words)
            if type(effect) is Persist:
                self._persist(instance, effect, effects[position + 1 :])
                return
            self._carry_out_one(instance, effect)
            if self.failpoint is not None:
                self.failpoint(f"{self._service}:after-{label(effect)}")

    def _carry_out_one(self, instance: _Instance, effect: Effect) -> None:
        match effect:
            case Send(to, message):
                self.link.send(to, message)
            case Do(command) if command.name in self._lazy:
                self._gather(command)
            case Do(command) if command.name in self._unheard:
                self._store.submit(command, _nobody_hears, partial(self._reject, ()))
            case Do(command):
                self._do(instance, command)
            case SetTimer(name, after_ms, spread_ms):
                self._cancel(instance, name)
                wait_ms = after_ms + spread_ms * self._rng.random() if spread_ms else after_ms
                instance.timers[name] = self._clock.call_later(wait_ms, lambda: self._fire(instance, name))
            case CancelTimer(name):
                self._cancel(instance, name)
            case Reply(outcome):
                if instance.reply is not None:
                    instance.reply(outcome)

    def _do(self, instance: _Instance, command: Command) -> None:
        """Nothing waits for it but whoever brought the message that asks for it."""
        txn, receipts = instance.txn, instance.receipts_of(instance.cause)
        for receipt in receipts:
            receipt.open += 1

        def over() -> None:
            for receipt in receipts:
                receipt.close()

        def answered(result: Result) -> None:
            self._tell(txn, Done(command, result))
            over()

        def refused(why: str) -> None:
            self._reject(receipts, why)
            over()

        self._store.submit(command, answered, refused)

    def _gather(self, command: Command) -> None:
        if not self._gathered:
            self._clock.call_later(GATHERED_MS, self._do_gathered)
        self._gathered.setdefault(command.name, []).extend(command.args)
        self._unconfirmed.update(dict.fromkeys(command.args))

    def _do_gathered(self) -> None:
        gathered, self._gathered = self._gathered, {}
        for name, txns in gathered.items():
            for first in range(0, len(txns), AT_ONCE):
                some = tuple(txns[first : first + AT_ONCE])
                self._store.submit(
                    Command(name, some), partial(self._confirmed, some), partial(self._unconfirmable, some)
                )

    def _unconfirmable(self, txns: tuple[str, ...], why: str) -> None:
        self._reject((), why)
        self._confirmed(txns, ())

    def _confirmed(self, txns: tuple[str, ...], _: Result) -> None:
        for txn in txns:
            self._unconfirmed.pop(txn, None)

    def _persist(self, instance: _Instance, effect: Persist, rest: Effects) -> None:
        instance.busy = True
        self.forced += 1
        self._store.submit(
            effect.command,
            lambda result: self._persisted(instance, effect, rest, result),
            partial(self._give_up, instance),
        )

    def _persisted(self, instance: _Instance, effect: Persist, rest: Effects, result: Result) -> None:
        if self.observer is not None:
            self.observer(instance.txn, f"persisted:{effect.command.name}", code(result))
        if self.failpoint is not None:
            self.failpoint(f"{self._service}:after-{label(effect)}")
        instance.busy = False
        instance.answer = Done(effect.command, result)
        instance.events.appendleft(instance.answer)
        self._carry_out(instance, rest)
        self._work(instance)

    def _give_up(self, instance: _Instance, why: str) -> None:
        """As if this node had died, for this transaction alone: events that wait find it without a state.

        Its id does not end with that: in the stores it may go on, so others' memory of it has to last until it is recovered.
        """
        self._reject(instance.receipts_of(instance.cause), why)
        instance.busy, instance.state, instance.given_up = False, None, True
        for name in tuple(instance.timers):
            self._cancel(instance, name)
        self._work(instance)

    def _reject(self, receipts: Iterable[Receipt], why: str) -> None:
        self.refused += 1
        for receipt in receipts:
            receipt.why = receipt.why or why or "refused"

    def _cancel(self, instance: _Instance, name: str) -> None:
        timer = instance.timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _fire(self, instance: _Instance, name: str) -> None:
        instance.timers.pop(name, None)
        self._tell(instance.txn, TimerFired(name))


def _nobody_hears(_: Result) -> None:
    """The answer to a command that is done for others to see."""


def label(effect: Effect) -> str:
    """The effect's part of a failpoint's name: ``persist:commit``, ``send:vote``, ``reply:committed``, ``set-timer:resend``."""
    match effect:
        case Persist(command):
            return f"persist:{command.name}"
        case Do(command):
            return f"do:{command.name}"
        case Send(_, message):
            return f"send:{type(message).__name__.lower()}"
        case Reply(outcome):
            return f"reply:{outcome.verdict}"
        case SetTimer(name):
            return f"set-timer:{name}"
        case CancelTimer(name):
            return f"cancel-timer:{name}"
