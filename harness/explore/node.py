"""One node in the search: its memory and its store as one hashable value, and every execution of an event.

A node handles an event to its end in one step. Until then it touches only its own store and the network, so the steps
of other nodes commute with its effects, and any interleaving with them equals one in which the event runs alone
(Lipton, "Reduction", CACM 18(12), 1975). A crash may fall between any two effects; commands that were issued (``Do``)
but not awaited may be lost with it or not, and each of these outcomes is one more execution.

Two interleavings are not tried: the driver handles other events of one node while a command is in the store, and two
instances of a service may work on their store at once. Here an instance handles an event wholly before or wholly
after another event.
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
from protocols.outcomes import Outcome
from protocols.service.failpoints import effect_name
from protocols.store.twin import Twin

Tables = tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]
Live = tuple[tuple[str, Any, tuple[str, ...]], ...]


class InstanceState(NamedTuple):
    """The state of an instance: ``live`` has (txn, state, armed timers) of each transaction in memory, ``tables`` is
    the store.
    """

    live: Live
    tables: Tables


class Packet(NamedTuple):
    """A message from the instance ``sender`` to the instance ``to``."""

    to: str
    sender: str
    message: Any


@dataclass(frozen=True, slots=True)
class Late:
    """A copy of a command on a connection that its sender has closed: the store may still execute it, at any later
    time.
    """

    name: str
    args: tuple[Any, ...]


class Execution(NamedTuple):
    """One execution of an event: the state after it, the packets sent, and the replies to clients, (txn, outcome) each.

    ``crashed`` names the failpoint at which the instance crashed, or is empty; ``effects`` describes each effect in a
    line.
    """

    local: InstanceState
    sent: tuple[Packet, ...]
    replies: tuple[tuple[str, Outcome], ...]
    crashed: str
    effects: tuple[str, ...]


class NodeModel:
    """The pure machine and the pure store of one service. ``failpoints`` collects the points at which a crash was
    tried.

    ``name`` is the instance's, where a service has more than one: replies are addressed to it. ``late_commands``: see
    ``SearchCase``.
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
        """Return the executions of an event: the one without a crash first, then one or two for a crash after each
        effect.
        """
        return self._execute_all(_Run(self, local), [(txn, event)])

    def receive(self, local: InstanceState, packet: Packet) -> tuple[Execution, ...]:
        """Return the executions of a packet. A late command goes to the store alone, and its result is lost."""
        if isinstance(packet.message, Late):
            return (self.carry_out(local, Command(packet.message.name, packet.message.args)),)
        return self.executions(local, packet.message.txn, Received(packet.message, packet.sender))

    def carry_out(self, local: InstanceState, command: Command) -> Execution:
        """Execute one command on the store."""
        twin = self.twin(local.tables)
        result = twin.run(command, 0)
        return Execution(
            InstanceState(local.live, freeze(twin.tables)), (), (), "", (_executed("do", command, result),)
        )

    def sweep(self, local: InstanceState) -> tuple[Execution, ...]:
        """Return the executions of the recovery sweep, which recovers every unfinished transaction that is not in
        memory.
        """
        run = _Run(self, local)
        unfinished = run.twin.run(Command(self.role.recovery, (self.name, -1)), 0)
        return self._execute_all(run, [(txn, Recovered(record)) for txn, record in unfinished if txn not in run.live])

    def unfinished(self, local: InstanceState) -> tuple[str, ...]:
        """Return the sorted names of the transactions in memory or in the store that have not ended.

        Raises `UsageError` naming a state that the protocol lists and does not map.
        """
        stored = self.twin(local.tables).run(Command("list_txns"), 0)
        for _, state, *_ in stored:
            self._protocol.kinds_of(state)
        return tuple(sorted({*(txn for txn, *_ in stored), *(txn for txn, _, _ in local.live)}))

    def twin(self, tables: Tables) -> Twin:
        """Return a store with these tables."""
        twin = Twin(self._protocol, self._config)
        twin.tables = {name: dict(fields) for name, fields in tables}
        return twin

    def step(self, state: Any, event: Event) -> tuple[Any, tuple[Effect, ...]]:
        """Run the machine for one event; return its next state and its effects."""
        return self.role.step(self._config, state, event)

    def _execute_all(self, run: "_Run", events: list[tuple[str, Event]]) -> tuple[Execution, ...]:
        run.handle(events)
        self.failpoints.update(execution.crashed for execution in run.crashes)
        return (run.without_crash(), *run.crashes)


class _Run:
    """One run of events to their end; ``crashes`` collects the executions that a crash cuts short.

    At a crash the commands issued since the last forced write have all reached the store, or none of them has.
    """

    def __init__(self, node: NodeModel, local: InstanceState) -> None:
        self.node = node
        self.twin = node.twin(local.tables)
        self.live = {txn: (state, set(timers)) for txn, state, timers in local.live}
        self.crashes: list[Execution] = []
        self._pending: list[tuple[str, Command]] = []
        self._sent: list[Packet] = []
        self._replies: list[tuple[str, Outcome]] = []
        self._effects: list[str] = []

    def handle(self, events: list[tuple[str, Event]]) -> None:
        waiting = list(events)
        while waiting or self._pending:
            # Pending commands return only once no event is left, as late as the driver allows: every effect up to here is a
            # crash that may lose them. To run them earlier would hide exactly the executions without a forced write.
            if not waiting:
                waiting = [(txn, Done(command, self._execute(command))) for txn, command in self._pending]
                self._pending = []
            waiting[:1] = self._handle(*waiting[0])

    def without_crash(self) -> Execution:
        live = tuple(sorted((txn, state, tuple(sorted(timers))) for txn, (state, timers) in self.live.items()))
        return self._execution(InstanceState(live, freeze(self.twin.tables)), "", self._effects)

    def _handle(self, txn: str, event: Event) -> list[tuple[str, Event]]:
        state, timers = self.live.get(txn, (None, set()))
        if isinstance(event, TimerFired):
            timers.discard(event.name)
        state, effects = self.node.step(state, event)
        self.live[txn] = (state, timers)
        done = [event for effect in effects for event in self._carry_out(txn, timers, effect)]
        if state is None:
            del self.live[txn]
        return done

    def _carry_out(self, txn: str, timers: set[str], effect: Effect) -> list[tuple[str, Event]]:
        done: list[tuple[str, Event]] = []
        match effect:
            case Persist(command):
                self._add_late_copy(command)
                # A forced write takes all earlier commands of the connection with it: the store executes them in order.
                done = [(name, Done(earlier, self._execute(earlier))) for name, earlier in self._pending]
                self._pending = []
                done.append((txn, Done(command, self._execute(command, "persist"))))
            case Do(command):
                self._add_late_copy(command)
                self._pending.append((txn, command))
            case Send(to, message):
                self._sent.append(Packet(to, self.node.name, message))
                self._effects.append(f"send to {to}: {describe_message(message)}")
            case SetTimer(name):
                timers.add(name)
            case CancelTimer(name):
                timers.discard(name)
            case Reply(outcome):
                self._replies.append((txn, outcome))
                self._effects.append(f"reply to the client: {outcome.decision} {outcome.reason}".rstrip())
        self._crash(f"{self.node.service}:after-{effect_name(effect)}")
        return done

    def _add_late_copy(self, command: Command) -> None:
        if self.node.late_commands:
            self._sent.append(Packet(self.node.name, self.node.name, Late(command.name, command.args)))

    def _execute(self, command: Command, how: str = "do") -> tuple[Any, ...]:
        result = self.twin.run(command, 0)
        self._effects.append(_executed(how, command, result))
        return result

    def _crash(self, failpoint: str) -> None:
        """Collect the executions that crash here: only the store remains, with the pending commands or without them.

        All of them or none: a part is tried only as the crash right after its last command.
        """
        tables = freeze(self.twin.tables)
        if self._pending:
            twin = self.node.twin(tables)
            did = [_executed("do", command, twin.run(command, 0)) for _, command in self._pending]
            self.crashes.append(
                self._execution(InstanceState((), freeze(twin.tables)), failpoint, [*self._effects, *did])
            )
        self.crashes.append(self._execution(InstanceState((), tables), failpoint, self._effects))

    def _execution(self, local: InstanceState, crashed: str, words: list[str]) -> Execution:
        return Execution(local, tuple(self._sent), tuple(self._replies), crashed, tuple(words))


def freeze(tables: dict[str, dict[str, Any]]) -> Tables:
    """Return the tables as a hashable value, without the notes for operators, which no command reads."""
    kept = ((name, fields) for name, fields in tables.items() if not name.startswith("note:"))
    return tuple(sorted((name, tuple(sorted(fields.items()))) for name, fields in kept))


def describe_message(message: Any) -> str:
    """Return a message as a transcript shows it: its name, then the values of its fields."""
    values = (getattr(message, name) for name in type(message).__match_args__)
    return f"{type(message).__name__}{_short(tuple(values))}"


def _executed(how: str, command: Command, result: tuple[Any, ...]) -> str:
    return f"{how} {command.name}{_short(command.args)} = {_short(result)}"


def _short(values: Any) -> str:
    if isinstance(values, tuple):
        return "(" + ", ".join(_short(value) for value in values) + ")"
    return str(values) if values != "" else "-"
