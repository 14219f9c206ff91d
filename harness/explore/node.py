"""One node in the search: its volatile states and its store as one hashable value, and every way an event can go.

A node runs an event to its end at once: what it does until then touches only its own store and the network, so no other
node could tell the difference. A crash may fall between any two effects, and takes with it what was asked for
(``Do``) but not waited for: each of these is one more way the event can go.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from protocols.core import (
    CancelTimer,
    Command,
    Config,
    Do,
    Done,
    Effect,
    Event,
    Outcome,
    Persist,
    Protocol,
    Received,
    Recovered,
    Reply,
    Send,
    SetTimer,
)
from protocols.service.driver import label
from protocols.service.library import Twin

Tables = tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]
Live = tuple[tuple[str, Any, tuple[str, ...]], ...]


class Local(NamedTuple):
    """A node's whole state: ``live`` has (txn, state, armed timers) each, ``tables`` its store."""

    live: Live
    tables: Tables


class Packet(NamedTuple):
    to: str
    sender: str
    message: Any


class Way(NamedTuple):
    """One way an event can go. ``crashed`` names the boundary after which the node died, or is empty.

    ``effects`` are what was carried out, in words.
    """

    local: Local
    sent: tuple[Packet, ...]
    told: tuple[tuple[str, Outcome], ...]
    crashed: str
    effects: tuple[str, ...]


@dataclass
class _Crash(Exception):
    boundary: str


class Node:
    """The pure machine and the pure store of one service. ``ways`` and ``sweep`` remember what they have worked out."""

    def __init__(self, service: str, protocol: Protocol, config: Config) -> None:
        self.service = service
        self.role = protocol.roles[service]
        self._protocol = protocol
        self._config = config
        self._ways: dict[tuple[Local, str, Event | None], tuple[Way, ...]] = {}

    def ways(self, local: Local, txn: str, event: Event) -> tuple[Way, ...]:
        """How ``event`` can go: undisturbed first, then with a crash after each effect."""
        key = (local, txn, event)
        if key not in self._ways:
            self._ways[key] = tuple(self._work_out(local, [(txn, event)]))
        return self._ways[key]

    def sweep(self, local: Local) -> tuple[Way, ...]:
        """How the recovery sweep can go: every unfinished transaction that is not live is taken up."""
        key = (local, "", None)
        if key not in self._ways:
            run = _Run(self, local)
            found = run.twin.run(Command(self.role.recovery, (self.service, -1)), 0)
            events: list[tuple[str, Event]] = [(txn, Recovered(record)) for txn, record in found if txn not in run.live]
            self._ways[key] = tuple(self._work_out(run.freeze(), events))
        return self._ways[key]

    def crash(self, local: Local) -> Local:
        """What a crash between two events leaves."""
        return Local((), local.tables)

    def boundaries(self) -> set[str]:
        """The names of all points after an effect at which a crash has been tried."""
        return {way.crashed for ways in self._ways.values() for way in ways if way.crashed}

    def unfinished(self, local: Local) -> bool:
        """Whether anything here, volatile or stored, has not ended."""
        return bool(local.live) or bool(self.twin(local).run(Command("list_txns"), 0))

    def twin(self, local: Local) -> Twin:
        twin = Twin(self._protocol, self._config)
        twin.tables = {name: dict(fields) for name, fields in local.tables}
        return twin

    def _work_out(self, local: Local, events: list[tuple[str, Event]]) -> Iterator[Way]:
        whole = _Run(self, local)
        whole.handle(events)
        yield whole.way("")
        for after in range(whole.effects):
            for keep in (True, False):
                run = _Run(self, local, crash_after=after, keep=keep)
                try:
                    run.handle(events)
                except _Crash as crash:
                    yield run.way(crash.boundary)

    def step(self, state: Any, event: Event) -> tuple[Any, tuple[Effect, ...]]:
        return self.role.step(self._config, state, event)


class _Run:
    """One pass through events, up to their end or to a crash after the effect number ``crash_after``.

    At a crash ``keep`` decides whether the commands asked for since the last forced write still reached the store.
    """

    def __init__(self, node: Node, local: Local, crash_after: int = -1, keep: bool = True) -> None:
        self.node = node
        self.twin = node.twin(local)
        self.live = {txn: (state, set(timers)) for txn, state, timers in local.live}
        self.effects = 0
        self._crash_after = crash_after
        self._keep = keep
        self._asked: list[tuple[str, Command]] = []
        self._sent: list[Packet] = []
        self._told: list[tuple[str, Outcome]] = []
        self._words: list[str] = []

    def handle(self, events: list[tuple[str, Event]]) -> None:
        waiting = list(events)
        while waiting or self._asked:
            if not waiting:
                waiting = [(txn, Done(command, self._execute(command))) for txn, command in self._asked]
                self._asked = []
            waiting[:1] = self._handle(*waiting[0])

    def _handle(self, txn: str, event: Event) -> list[tuple[str, Event]]:
        state, timers = self.live.get(txn, (None, set()))
        state, effects = self.node.step(state, event)
        self.live[txn] = (state, timers)
        done = [found for effect in effects for found in self._carry_out(txn, timers, effect)]
        if state is None:
            del self.live[txn]
        return done

    def _carry_out(self, txn: str, timers: set[str], effect: Effect) -> list[tuple[str, Event]]:
        done: list[tuple[str, Event]] = []
        match effect:
            case Persist(command):
                done = [(name, Done(earlier, self._execute(earlier))) for name, earlier in self._asked]
                self._asked = []
                done.append((txn, Done(command, self._execute(command, "persist"))))
            case Do(command):
                self._asked.append((txn, command))
            case Send(to, message):
                self._sent.append(Packet(to, self.node.service, message))
                self._words.append(f"send to {to}: {words(message)}")
            case SetTimer(name):
                timers.add(name)
            case CancelTimer(name):
                timers.discard(name)
            case Reply(outcome):
                self._told.append((txn, outcome))
                self._words.append(f"tell the client: {outcome.verdict} {outcome.why}".rstrip())
        if self.effects == self._crash_after:
            raise _Crash(f"{self.node.service}:after-{label(effect)}")
        self.effects += 1
        return done

    def _execute(self, command: Command, how: str = "do") -> tuple[Any, ...]:
        result = self.twin.run(command, 0)
        self._words.append(f"{how} {command.name}{_short(command.args)} = {_short(result)}")
        return result

    def freeze(self) -> Local:
        live = tuple(sorted((txn, state, tuple(sorted(timers))) for txn, (state, timers) in self.live.items()))
        return Local(live, freeze(self.twin.tables))

    def way(self, crashed: str) -> Way:
        if crashed:
            self.live = {}
            for _, command in self._asked if self._keep else ():
                self._execute(command)
        return Way(self.freeze(), tuple(self._sent), tuple(self._told), crashed, tuple(self._words))


def freeze(tables: dict[str, dict[str, Any]]) -> Tables:
    return tuple(sorted((name, tuple(sorted(fields.items()))) for name, fields in tables.items()))


def words(message: Any) -> str:
    """A message as a transcript shows it: its name, then the values of its fields."""
    values = (getattr(message, field.name) for field in fields(message))
    return f"{type(message).__name__}{_short(tuple(values))}"


def _short(values: Any) -> str:
    if isinstance(values, tuple):
        return "(" + ", ".join(_short(value) for value in values) + ")"
    return str(values) if values != "" else "-"


def received(packet: Packet) -> tuple[str, Event]:
    """The transaction and the event that a packet is to its receiver."""
    return packet.message.txn, Received(packet.message, packet.sender)
