"""One node in the search: its volatile states and its store as one hashable value, and every way an event can go.

A node runs an event to its end at once: what it does until then touches only its own store and the network, so no other
node could tell the difference. A crash may fall between any two effects, and takes with it what was asked for
(``Do``) but not waited for: each of these is one more way the event can go.

What the driver interleaves inside one node is not tried here: it handles other events while a command is with the store. Nor is
what two instances of a service do at once: between two events of one, the other has all of its turn or none.
"""

from dataclasses import dataclass
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
    Role,
    Send,
    SetTimer,
    TimerFired,
)
from protocols.service.failpoints import effect_name
from protocols.service.lua_library import Twin

Tables = tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]
Live = tuple[tuple[str, Any, tuple[str, ...]], ...]


class InstanceState(NamedTuple):
    """A node's whole state: ``live`` has (txn, state, armed timers) each, ``tables`` its store."""

    live: Live
    tables: Tables


class Packet(NamedTuple):
    to: str
    sender: str
    message: Any


@dataclass(frozen=True, slots=True)
class Late:
    """A copy of a command on a connection that its sender has given up: the store may still get it, at any time."""

    name: str
    args: tuple[Any, ...]


class Execution(NamedTuple):
    """One way an event can go. ``crashed`` names the failpoint after which the node died, or is empty.

    ``effects`` are what was carried out, in words.
    """

    local: InstanceState
    sent: tuple[Packet, ...]
    replies: tuple[tuple[str, Outcome], ...]
    crashed: str
    effects: tuple[str, ...]


class NodeModel:
    """The pure machine and the pure store of one service. It remembers at which failpoints it was seen to crash.

    ``name`` is the instance's, where a service has more than one: answers to it go there. ``late``: see ``Case``.
    """

    def __init__(
        self,
        service: str,
        role: Role,
        protocol: Protocol,
        config: Config,
        name: str = "",
        *,
        late_commands: bool = False,
    ) -> None:
        self.service = service
        self.name = name or service
        self.role = role
        self.late_commands = late_commands
        self.failpoints: set[str] = set()
        self._protocol = protocol
        self._config = config

    def executions(self, local: InstanceState, txn: str, event: Event) -> tuple[Execution, ...]:
        """How ``event`` can go: undisturbed first, then with a crash after each effect."""
        return self._work_out(_Run(self, local), [(txn, event)])

    def receive(self, local: InstanceState, packet: Packet) -> tuple[Execution, ...]:
        """How a packet can go. A late command is the store's, and its answer nobody's."""
        if isinstance(packet.message, Late):
            return (self.carry_out(local, Command(packet.message.name, packet.message.args)),)
        return self.executions(local, packet.message.txn, Received(packet.message, packet.sender))

    def carry_out(self, local: InstanceState, command: Command) -> Execution:
        """What a command on the store makes of it."""
        twin = self.twin(local.tables)
        result = twin.run(command, 0)
        return Execution(
            InstanceState(local.live, freeze(twin.tables)), (), (), "", (_executed("do", command, result),)
        )

    def sweep(self, local: InstanceState) -> tuple[Execution, ...]:
        """How the recovery sweep can go: every unfinished transaction that is not live is taken up."""
        run = _Run(self, local)
        found = run.twin.run(Command(self.role.recovery, (self.name, -1)), 0)
        return self._work_out(run, [(txn, Recovered(record)) for txn, record in found if txn not in run.live])

    def unfinished(self, local: InstanceState) -> tuple[str, ...]:
        """What here, volatile or stored, has not ended: names of transactions, sorted.

        Raises `UsageError` naming a state that the protocol lists and does not map.
        """
        stored = self.twin(local.tables).run(Command("list_txns"), 0)
        for _, state, *_ in stored:
            self._protocol.kinds_of(state)
        return tuple(sorted({*(txn for txn, *_ in stored), *(txn for txn, _, _ in local.live)}))

    def twin(self, tables: Tables) -> Twin:
        twin = Twin(self._protocol, self._config)
        twin.tables = {name: dict(fields) for name, fields in tables}
        return twin

    def step(self, state: Any, event: Event) -> tuple[Any, tuple[Effect, ...]]:
        return self.role.step(self._config, state, event)

    def _work_out(self, run: "_Run", events: list[tuple[str, Event]]) -> tuple[Execution, ...]:
        run.handle(events)
        self.failpoints.update(execution.crashed for execution in run.crashes)
        return (run.without_crash(), *run.crashes)


class _Run:
    """One pass through events to their end; ``crashes`` collects the ways in which it could have been cut short.

    At a crash the commands that were asked for since the last forced write either still reach the store or do not.
    """

    def __init__(self, node: NodeModel, local: InstanceState) -> None:
        self.node = node
        self.twin = node.twin(local.tables)
        self.live = {txn: (state, set(timers)) for txn, state, timers in local.live}
        self.crashes: list[Execution] = []
        self._pending: list[tuple[str, Command]] = []
        self._sent: list[Packet] = []
        self._replies: list[tuple[str, Outcome]] = []
        self._words: list[str] = []

    def handle(self, events: list[tuple[str, Event]]) -> None:
        waiting = list(events)
        while waiting or self._pending:
            if not waiting:
                waiting = [(txn, Done(command, self._execute(command))) for txn, command in self._pending]
                self._pending = []
            waiting[:1] = self._handle(*waiting[0])

    def without_crash(self) -> Execution:
        live = tuple(sorted((txn, state, tuple(sorted(timers))) for txn, (state, timers) in self.live.items()))
        return self._way(InstanceState(live, freeze(self.twin.tables)), "", self._words)

    def _handle(self, txn: str, event: Event) -> list[tuple[str, Event]]:
        state, timers = self.live.get(txn, (None, set()))
        if isinstance(event, TimerFired):
            timers.discard(event.name)
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
                self._may_be_late(command)
                done = [(name, Done(earlier, self._execute(earlier))) for name, earlier in self._pending]
                self._pending = []
                done.append((txn, Done(command, self._execute(command, "persist"))))
            case Do(command):
                self._may_be_late(command)
                self._pending.append((txn, command))
            case Send(to, message):
                self._sent.append(Packet(to, self.node.name, message))
                self._words.append(f"send to {to}: {words(message)}")
            case SetTimer(name):
                timers.add(name)
            case CancelTimer(name):
                timers.discard(name)
            case Reply(outcome):
                self._replies.append((txn, outcome))
                self._words.append(f"tell the client: {outcome.verdict} {outcome.why}".rstrip())
        self._crash(f"{self.node.service}:after-{effect_name(effect)}")
        return done

    def _may_be_late(self, command: Command) -> None:
        if self.node.late_commands:
            self._sent.append(Packet(self.node.name, self.node.name, Late(command.name, command.args)))

    def _execute(self, command: Command, how: str = "do") -> tuple[Any, ...]:
        result = self.twin.run(command, 0)
        self._words.append(_executed(how, command, result))
        return result

    def _crash(self, failpoint: str) -> None:
        """What a crash here leaves: the store alone, with what was asked for or without."""
        tables = freeze(self.twin.tables)
        if self._pending:
            twin = self.node.twin(tables)
            did = [_executed("do", command, twin.run(command, 0)) for _, command in self._pending]
            self.crashes.append(self._way(InstanceState((), freeze(twin.tables)), failpoint, [*self._words, *did]))
        self.crashes.append(self._way(InstanceState((), tables), failpoint, self._words))

    def _way(self, local: InstanceState, crashed: str, words: list[str]) -> Execution:
        return Execution(local, tuple(self._sent), tuple(self._replies), crashed, tuple(words))


def freeze(tables: dict[str, dict[str, Any]]) -> Tables:
    """The store as a value, without its notes: tables that are only written down for an operator, and decide nothing."""
    kept = ((name, fields) for name, fields in tables.items() if not name.startswith("note:"))
    return tuple(sorted((name, tuple(sorted(fields.items()))) for name, fields in kept))


def words(message: Any) -> str:
    """A message as a transcript shows it: its name, then the values of its fields."""
    values = (getattr(message, name) for name in type(message).__match_args__)
    return f"{type(message).__name__}{_short(tuple(values))}"


def _executed(how: str, command: Command, result: tuple[Any, ...]) -> str:
    return f"{how} {command.name}{_short(command.args)} = {_short(result)}"


def _short(values: Any) -> str:
    if isinstance(values, tuple):
        return "(" + ", ".join(_short(value) for value in values) + ")"
    return str(values) if values != "" else "-"
