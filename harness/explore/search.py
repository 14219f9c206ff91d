"""Breadth-first search over every reachable state of a small case, the shipped machines and the pure store commands.

The network is the set of all packets ever sent: each may be delivered at any time, any number of times, in any order, or never.
That is loss, duplication and reordering without a bound and without a step of their own. (The trick is the TLA+
specification's of two-phase commit: Gray and Lamport, "Consensus on transaction commit", TODS 31(1), 2006.) Time-outs
fire whenever they are armed; a crash may fall between any two effects.

A state is a tuple of small integers: the nodes' local states and the set of packets are interned, and what an event does to a
local state is worked out once.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from harness.explore.case import Case
from harness.explore.node import Local, Node, Packet, Way, freeze, received, words
from protocols.core import Config, Protocol, Request, Start, TimerFired, Timing, Verdict
from protocols.service.library import Twin
from protocols.shop.ledger import Tables


class State(NamedTuple):
    """``packets`` is a bit mask; ``begun`` has each client's txn or ""; ``told`` what it heard: "", "yes", "no".

    ``lives`` counts the coordinator's crashes, ``crashes`` everybody's, ``hasty`` the premature time-outs.
    """

    locals: tuple[int, ...]
    packets: int
    begun: tuple[str, ...]
    told: tuple[str, ...]
    lives: int
    crashes: int
    hasty: int


class Step(NamedTuple):
    """How a state came about: ``kind`` start, deliver, timer, sweep or crash; ``crashed``, ``effects`` as in ``Way``."""

    kind: str
    node: str
    what: str
    crashed: str
    effects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """``crashes`` in a run, ``states`` and ``seconds`` before the search gives up.

    ``hasty`` bounds the time-outs that fire although nothing was lost or crashed: deadlines, and participants that ask
    before anything went wrong. Without a bound every transaction may be given up at every moment.
    """

    crashes: int = 1
    hasty: int = 1_000
    states: int = 2_000_000
    seconds: float = 300.0


@dataclass(slots=True)
class Found:
    """What a search came to. ``violation`` is empty if there is none; ``exhausted`` is whether every state was seen."""

    case: Case
    states: int
    seconds: float
    exhausted: bool
    violation: str = ""
    path: tuple[Step, ...] = ()


class Search:
    """All reachable states of one case under one protocol and configuration."""

    def __init__(self, protocol: Protocol, config: Config, case: Case, bounds: Bounds) -> None:
        # Nothing takes time here: an undecided transaction may be ended by an inquiry at any moment.
        config = Config(config.options, config.ablated, Timing(patience=0))
        self.case = case
        self.bounds = bounds
        self.nodes = {service: Node(service, protocol, config) for service in protocol.roles}
        self._names = tuple(self.nodes)
        self._home = next(service for service, role in protocol.roles.items() if role.name == "coordinator")
        self._locals: list[Local] = []
        self._local_ids: dict[Local, int] = {}
        self._packets: list[Packet] = []
        self._packet_ids: dict[Packet, int] = {}
        self._unfinished: dict[tuple[int, int], bool] = {}
        self.initial = self._initial(protocol, config)

    def run(self) -> Found:
        """Search until everything is seen, a violation is found (the shortest way to it), or a bound is reached."""
        started = time.monotonic()
        index = {self.initial: 0}
        states = [self.initial]
        came: list[tuple[int, Step] | None] = [None]
        forward: list[tuple[int, int]] = []  # (to, from) of the steps that are no faults
        for at, state in enumerate(states):
            why = self._broken(state)
            spent = time.monotonic() - started
            if why:
                return Found(self.case, len(states), spent, False, why, self._path(came, at))
            if len(states) > self.bounds.states or spent > self.bounds.seconds:
                return Found(self.case, len(states), spent, False)
            for step, after in self.successors(state):
                to = index.get(after)
                if to is None:
                    to = index[after] = len(states)
                    states.append(after)
                    came.append((at, step))
                if not step.crashed and step.kind != "crash" and step.what != "deadline":
                    forward.append((to, at))
        stuck = self._stuck(states, forward)
        spent = time.monotonic() - started
        if stuck is not None:
            why = "stuck: from here on, without any more faults, it never ends"
            return Found(self.case, len(states), spent, True, why, self._path(came, stuck))
        return Found(self.case, len(states), spent, True)

    # ------------------------------------------------------------ states

    def _initial(self, protocol: Protocol, config: Config) -> State:
        ids = []
        for service in self._names:
            twin = Twin(protocol, config)
            for command in self.case.setup(service):
                twin.run(command, 0)
            ids.append(self._intern(Local((), freeze(twin.tables))))
        nobody = ("",) * len(self.case.checkouts)
        return State(tuple(ids), 0, nobody, nobody, 0, 0, 0)

    def successors(self, state: State) -> Iterator[tuple[Step, State]]:
        yield from self._starts(state)
        for at, name in enumerate(self._names):
            local = self._locals[state.locals[at]]
            node = self.nodes[name]
            hasty = state._replace(hasty=state.hasty + 1) if state.hasty < self.bounds.hasty else None
            for txn, _, timers in local.live:
                for timer in timers:
                    before = hasty if timer == "deadline" else state
                    if before is not None:
                        ways = node.ways(local, txn, TimerFired(timer))
                        yield from self._apply(before, at, "timer", timer, ways)
            before = state if state.crashes else hasty
            if before is not None:
                yield from self._apply(before, at, "sweep", "", node.sweep(local))
            if local.live and state.crashes < self.bounds.crashes:
                yield Step("crash", name, "", "", ()), self._crashed(state, at)
        for number in _bits(state.packets):
            packet = self._packets[number]
            at = self._names.index(packet.to)
            ways = self.nodes[packet.to].ways(self._locals[state.locals[at]], *received(packet))
            yield from self._apply(state, at, "deliver", words(packet.message), ways)

    def _starts(self, state: State) -> Iterator[tuple[Step, State]]:
        """The clients begin in turn; each has one try."""
        for client, begun_as in enumerate(state.begun):
            if begun_as:
                continue
            if self.case.in_turn and client and not state.told[client - 1]:
                return
            at = self._names.index(self._home)
            prefix = f"c{state.lives}"
            sequence = sum(begun.startswith(prefix + ".") for begun in state.begun)
            local = self._locals[state.locals[at]]
            running = [int(name.rpartition(".")[2]) for name, _, _ in local.live if name.startswith(prefix + ".")]
            order = self.case.checkouts[client]
            # The later client is the older one: ages and arrivals need not agree.
            request = Request(order, self._home, self._home, 10 - client, min([*running, sequence]))
            txn = f"{prefix}.{sequence}"
            begun = (*state.begun[:client], txn, *state.begun[client + 1 :])
            ways = self.nodes[self._home].ways(local, txn, Start(txn, request))
            yield from self._apply(state._replace(begun=begun), at, "start", order, ways)
            return

    def _apply(self, state: State, at: int, kind: str, what: str, ways: Iterable[Way]) -> Iterator[tuple[Step, State]]:
        for way in ways:
            if way.crashed and state.crashes >= self.bounds.crashes:
                return
            packets = state.packets
            for packet in way.sent:
                packets |= 1 << self._packet(packet)
            told = state.told
            for txn, outcome in way.told:
                client = state.begun.index(txn) if txn in state.begun else -1
                if client >= 0:
                    heard = "yes" if outcome.verdict is Verdict.COMMITTED else "no"
                    told = (*told[:client], heard, *told[client + 1 :])
            ids = (*state.locals[:at], self._intern(way.local), *state.locals[at + 1 :])
            after = state._replace(locals=ids, packets=packets, told=told)
            if way.crashed:
                after = self._counted(after, at)
            if after.locals != state.locals or after[1:6] != state[1:6]:
                yield Step(kind, self._names[at], what, way.crashed, way.effects), after

    def _crashed(self, state: State, at: int) -> State:
        local = self.nodes[self._names[at]].crash(self._locals[state.locals[at]])
        ids = (*state.locals[:at], self._intern(local), *state.locals[at + 1 :])
        return self._counted(state._replace(locals=ids), at)

    def _counted(self, state: State, at: int) -> State:
        """A new life of the coordinator gives ids with a new prefix."""
        lives = state.lives + (self._names[at] == self._home)
        return state._replace(crashes=state.crashes + 1, lives=lives)

    # ------------------------------------------------------------ what must hold

    def _broken(self, state: State) -> str:
        tables = {
            name: fields for at in range(len(self._names)) for name, fields in self._tables(state.locals[at]).items()
        }
        for client, order in enumerate(self.case.checkouts):
            if state.told[client] == "yes" and not tables[f"order:{order}"]["paid"]:
                return f"told yes: client {client} was told that order {order} is paid, and it is not"
        for name, fields in tables.items():
            if fields.get("balance", 0) < 0:
                return f"conservation: {name} has {fields['balance']}"
        return "" if self._any_unfinished(state) else self._unbalanced(state, tables)

    def _unbalanced(self, state: State, tables: Tables) -> str:
        """Once everything has ended, what is gone is what the paid orders cost."""
        paid = [order for order, _, _ in self.case.orders if tables[f"order:{order}"]["paid"]]
        for client, order in enumerate(self.case.checkouts):
            only = self.case.checkouts.count(order) == 1
            if state.told[client] == "no" and order in paid and only:
                return f"told no: client {client} was told that order {order} is not paid, and it is"
        for name, had in (
            *((f"item:{i}", n) for i, n in self.case.stock),
            *((f"user:{u}", n) for u, n in self.case.credit),
        ):
            expected = had - sum(self.case.charge(order).get(name, 0) for order in paid)
            if tables[name]["balance"] != expected:
                return (
                    f"atomicity: paid are {paid or 'no orders'}, so {name} must have {expected}, "
                    f"and it has {tables[name]['balance']}"
                )
        return ""

    def _any_unfinished(self, state: State) -> bool:
        return any(self._node_unfinished(at, local) for at, local in enumerate(state.locals))

    def _node_unfinished(self, at: int, local: int) -> bool:
        key = (at, local)
        if key not in self._unfinished:
            self._unfinished[key] = self.nodes[self._names[at]].unfinished(self._locals[local])
        return self._unfinished[key]

    def _stuck(self, states: list[State], forward: list[tuple[int, int]]) -> int | None:
        """The first state from which no faultless way leads to an end."""
        back: dict[int, list[int]] = {}
        for to, at in forward:
            back.setdefault(to, []).append(at)
        ends = [at for at, state in enumerate(states) if not self._any_unfinished(state)]
        reached = set(ends)
        while ends:
            for at in back.get(ends.pop(), ()):
                if at not in reached:
                    reached.add(at)
                    ends.append(at)
        return next((at for at in range(len(states)) if at not in reached), None)

    # ------------------------------------------------------------ interning

    def _intern(self, local: Local) -> int:
        found = self._local_ids.get(local)
        if found is None:
            found = self._local_ids[local] = len(self._locals)
            self._locals.append(local)
        return found

    def _packet(self, packet: Packet) -> int:
        found = self._packet_ids.get(packet)
        if found is None:
            found = self._packet_ids[packet] = len(self._packets)
            self._packets.append(packet)
        return found

    def _tables(self, local: int) -> Tables:
        return {name: dict(fields) for name, fields in self._locals[local].tables}

    @staticmethod
    def _path(came: list[tuple[int, Step] | None], at: int) -> tuple[Step, ...]:
        steps = []
        while (link := came[at]) is not None:
            at, step = link
            steps.append(step)
        return tuple(reversed(steps))


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
