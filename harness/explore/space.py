"""A case as small integers: every place in which a node can be, every packet, and every move from one place to another.

The network is the set of all packets ever sent: each may be delivered at any time, any number of times, in any order, or never.
That is loss, duplication and reordering without a bound and without a step of their own. (The trick is the TLA+
specification's of two-phase commit: Gray and Lamport, "Consensus on transaction commit", TODS 31(1), 2006.) Time-outs
fire whenever they are armed; a crash may fall between any two effects.

What an event does to a place is worked out once, however many states share that place.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from harness.explore.case import SearchCase
from harness.explore.node import Execution, InstanceState, Live, NodeModel, Packet, freeze, words
from protocols.core import Command, Config, Protocol, Request, Role, Start, TimerFired, Timing, Verdict
from protocols.errors import UsageError
from protocols.lives import horizon, parts, prefix_of
from protocols.service.lua_library import Twin

DEADLINE = "deadline"
REPLY_NAMES = {Verdict.COMMITTED: "yes", Verdict.REFUSED: "no", Verdict.CONFLICT: "no", Verdict.ACCEPTED: "later"}


class Clients(NamedTuple):
    """The coordinator's clients: ``begun`` has the txn of each or "", ``told`` what it heard: "", "yes", "no", "later".

    ``lives`` counts the coordinator's crashes, as long as somebody has still to begin: a new life names transactions anew.
    """

    begun: tuple[str, ...]
    replies: tuple[str, ...]
    lives: int = 0


class NodeState(NamedTuple):
    """Where one node is; ``clients`` at the coordinator only, and there None if nobody is to begin any more.

    Two instances of a service share its store, so they are in one place: ``rival`` is what the second has in memory.
    """

    local: InstanceState
    clients: Clients | None
    second_instance: Live = ()


@dataclass(frozen=True, slots=True)
class Transition:
    """How a state came about: ``kind`` start, deliver, timer, sweep or crash; ``crashed``, ``effects`` as in ``Way``."""

    kind: str
    node: str
    what: str
    crashed: str
    effects: tuple[str, ...]

    @property
    def is_deadline(self) -> bool:
        """Whether it happens only because somebody ran out of patience."""
        return self.kind == "timer" and self.what == DEADLINE


class Move(NamedTuple):
    """The node ``at`` goes to ``place``, ``packets`` (a bit mask) are sent, ``crashes`` is 0 or 1."""

    at: int
    node_state: int
    packets: int
    crashes: int
    step: Transition


class Space:
    """The places and moves of one case under one protocol. Raises ``UsageError`` if nobody there coordinates.

    ``patience`` 0 lets an undecided transaction be ended by an inquiry at any moment, anything else never does.
    """

    def __init__(self, protocol: Protocol, config: Config, case: SearchCase, patience: int = 0) -> None:
        # Nothing takes time here, so no pause is worth a state of its own.
        config = Config(config.options, config.ablated, Timing(ask=0, tell=0, patience=patience, doubt=0, sweep=0))
        self.case = case
        self.nodes = tuple(
            NodeModel(service, role, protocol, config, late_commands=case.late_commands)
            for service, role in _roles(protocol, case)
        )
        self.names = tuple(node.service for node in self.nodes)
        self.home = next(at for at, node in enumerate(self.nodes) if node.role.name == "coordinator")
        coordinator = self.nodes[self.home]
        name = f"{coordinator.service}-2"
        self._second_instance = (
            NodeModel(coordinator.service, coordinator.role, protocol, config, name) if case.second_instance else None
        )
        self.addressed = [0] * len(self.nodes)  # to each node: the packets that are addressed to it
        self._node_states: list[list[NodeState]] = [[] for _ in self.nodes]
        self._node_state_numbers: list[dict[NodeState, int]] = [{} for _ in self.nodes]
        self._packets: list[Packet] = []
        self._packet_numbers: dict[Packet, int] = {}
        self._unfinished: dict[tuple[int, int], tuple[str, ...]] = {}
        self.initial = tuple(self._initial(at, Twin(protocol, config)) for at in range(len(self.nodes)))

    def node_state(self, at: int, number: int) -> NodeState:
        return self._node_states[at][number]

    def number(self, at: int, node_state: NodeState) -> int:
        """The number of a place, a new one if it was never met."""
        numbers = self._node_state_numbers[at]
        found = numbers.get(node_state)
        if found is None:
            found = numbers[node_state] = len(self._node_states[at])
            self._node_states[at].append(node_state)
        return found

    def unfinished(self, node_states: tuple[int, ...]) -> dict[str, tuple[str, ...]]:
        """The transactions that have not ended, by node; a node without any is left out."""
        found = {}
        for at, number in enumerate(node_states):
            left = self._unfinished.get((at, number))
            if left is None:
                left = self._unfinished[at, number] = self._left(at, self._node_states[at][number])
            if left:
                found[self.names[at]] = left
        return found

    def own_moves(self, at: int, number: int) -> Iterator[Move]:
        """What a node can do by itself: let a client begin, let a timer fire, look for what is unfinished."""
        node_state = self._node_states[at][number]
        if node_state.clients is not None:
            yield from self._start(at, node_state, node_state.clients)
        for node, local in self._instances(at, node_state):
            for txn, _, timers in local.live:
                for timer in timers:
                    yield from self._moves(
                        at, node_state, node, "timer", timer, node.executions(local, txn, TimerFired(timer))
                    )
            yield from self._moves(at, node_state, node, "sweep", "", node.sweep(local))
        yield from self._deposits(at, node_state)
        yield from self._set_anew(at, node_state)
        yield from self._renewed(at, node_state)

    def deliveries(self, at: int, number: int, packet: int) -> Iterator[Move]:
        """What a node can make of a packet that is addressed to it."""
        node_state, found = self._node_states[at][number], self._packets[packet]
        for node, local in self._instances(at, node_state):
            if node.name == found.to:
                executions = node.receive(local, found)
                yield from self._moves(at, node_state, node, "deliver", words(found.message), executions)

    def crashes(self, at: int, number: int) -> Iterator[Move]:
        """What a crash between two events leaves, of each instance that has anything to forget."""
        node_state = self._node_states[at][number]
        for node, local in self._instances(at, node_state):
            if local.live:
                execution = Execution(InstanceState((), local.tables), (), (), "idle", ())
                (move,) = self._moves(at, node_state, node, "crash", "", (execution,))
                yield move._replace(step=replace(move.step, crashed=""))

    def failpoints(self) -> set[str]:
        """The names of all points after an effect at which a crash has been tried."""
        rivals = (self._second_instance,) if self._second_instance else ()
        return set().union(*(node.failpoints for node in (*self.nodes, *rivals)))

    # ------------------------------------------------------------ inside

    def _instances(self, at: int, node_state: NodeState) -> Iterator[tuple[NodeModel, InstanceState]]:
        """The instances of a service, each with what it sees: its own memory, and the store."""
        yield self.nodes[at], node_state.local
        if at == self.home and self._second_instance:
            yield self._second_instance, InstanceState(node_state.second_instance, node_state.local.tables)

    def _left(self, at: int, node_state: NodeState) -> tuple[str, ...]:
        return tuple(sorted({txn for node, local in self._instances(at, node_state) for txn in node.unfinished(local)}))

    def _initial(self, at: int, twin: Twin) -> int:
        home = at == self.home
        name = self.names[at]
        for command in self.case.setup(lambda s: s == name or (home and s not in self.names), orders=home):
            twin.run(command, 0)
        nobody = ("",) * len(self.case.checkouts)
        clients = Clients(nobody, nobody) if home else None
        return self.number(at, NodeState(InstanceState((), freeze(twin.tables)), clients))

    def _start(self, at: int, node_state: NodeState, clients: Clients) -> Iterator[Move]:
        """The clients begin in turn; each has one try. A life has its number before its first, and knows what has ended."""
        client = sum(map(bool, clients.begun))
        if client == len(clients.begun) or (self.case.sequential and client and not clients.replies[client - 1]):
            return
        home, order, node = self.names[at], self.case.checkouts[client], self.nodes[at]
        life = clients.lives + 1
        twin = node.twin(node_state.local.tables)
        twin.run(Command("enlist", (home, life)), 0)
        prefix = prefix_of(home, life)
        sequence = sum(begun.startswith(prefix + ".") for begun in clients.begun)
        oldest = min(
            [sequence, *(parts(txn)[1][1] for txn, _, _ in node_state.local.live if txn.startswith(prefix + "."))]
        )
        unfinished = [txn for txn, _ in twin.run(Command(node.role.recovery, (home, -1)), 0)]
        # The later client is the older one: ages and arrivals need not agree.
        request = Request(order, home, home, 10 - client, horizon(home, life, oldest, unfinished))
        txn = f"{prefix}.{sequence}"
        begun = (*clients.begun[:client], txn, *clients.begun[client + 1 :])
        begins = node_state._replace(clients=clients._replace(begun=begun))
        local = InstanceState(node_state.local.live, freeze(twin.tables))
        yield from self._moves(at, begins, node, "start", order, node.executions(local, txn, Start(txn, request)))

    def _deposits(self, at: int, node_state: NodeState) -> Iterator[Move]:
        """What is added to accounts."""
        for account in self.case.accounts:
            if account.deposit and at == self._account_node(account.service):
                adjust = Command("adjust", (account.key, account.deposit))
                yield from self._once(at, node_state, "deposit", account.key, account.deposit, adjust)

    def _set_anew(self, at: int, node_state: NodeState) -> Iterator[Move]:
        """Accounts that begin once more with what they began with."""
        for account in self.case.accounts:
            if account.anew and at == self._account_node(account.service):
                prefix, _, number = account.key.partition(":")
                init = Command("init_accounts", (prefix, int(number), 1, account.balance, account.price))
                yield from self._once(at, node_state, "anew", account.key, 1, init)

    def _renewed(self, at: int, node_state: NodeState) -> Iterator[Move]:
        """Orders that are removed and made anew."""
        for order in self.case.orders if at == self.home else ():
            if order.renewed:
                yield from self._once(at, node_state, "renew", order.name, 1, *order.renewal())

    def _once(
        self, at: int, node_state: NodeState, kind: str, key: str, made: int, *commands: Command
    ) -> Iterator[Move]:
        """What somebody does at any time, unless it was done already or somebody's lock is in the way of its first step."""
        marker = (f"{kind}:{key}", (("made", made),))
        node, local = self.nodes[at], node_state.local
        if marker in local.tables:
            return
        first, *others = commands
        execution = node.carry_out(local, first)
        if execution.local.tables == local.tables:
            return
        for command in others:
            further = node.carry_out(execution.local, command)
            execution = further._replace(effects=(*execution.effects, *further.effects))
        tables = tuple(sorted((*execution.local.tables, marker)))
        yield from self._moves(
            at, node_state, node, kind, key, (execution._replace(local=InstanceState(local.live, tables)),)
        )

    def _account_node(self, service: str) -> int:
        """Where a service's accounts are."""
        return self.names.index(service) if service in self.names else self.home

    def _moves(
        self, at: int, node_state: NodeState, node: NodeModel, kind: str, what: str, executions: Iterable[Execution]
    ) -> Iterator[Move]:
        for execution in executions:
            packets = 0
            for packet in execution.sent:
                packets |= 1 << self._packet(packet)
            number = self.number(at, self._after(node_state, node, execution))
            step = Transition(kind, node.name, what, execution.crashed, execution.effects)
            yield Move(at, number, packets, int(bool(execution.crashed)), step)

    def _after(self, node_state: NodeState, node: NodeModel, execution: Execution) -> NodeState:
        """The place once one of its instances has gone this way. Whose clients live on has no new life to count."""
        if node is self._second_instance:
            clients = node_state.clients and _with_replies(node_state.clients, execution, 0)
            return NodeState(
                InstanceState(node_state.local.live, execution.local.tables), clients, execution.local.live
            )
        return NodeState(
            execution.local,
            node_state.clients and _with_replies(node_state.clients, execution, int(bool(execution.crashed))),
            node_state.second_instance,
        )

    def _packet(self, packet: Packet) -> int:
        found = self._packet_numbers.get(packet)
        if found is None:
            found = self._packet_numbers[packet] = len(self._packets)
            self._packets.append(packet)
            self.addressed[self._instance_node(packet.to)] |= 1 << found
        return found

    def _instance_node(self, name: str) -> int:
        """Where an instance of that name is."""
        return self.home if self._second_instance and name == self._second_instance.name else self.names.index(name)


def _roles(protocol: Protocol, case: SearchCase) -> tuple[tuple[str, Role], ...]:
    """Who plays what: the coordinator, and a participant for each service of the case.

    A service that the protocol does not name plays as the ones that it names do. Where all data is on the coordinator's store,
    nobody else has a part.
    """
    home = next((service for service, role in protocol.roles.items() if role.name == "coordinator"), None)
    if home is None:
        raise UsageError(f"{protocol.name} has no role named 'coordinator', so nobody could begin a transaction")
    known = {service: role for service, role in protocol.roles.items() if protocol.store_of(service) != home}
    cast = [(home, protocol.roles[home])]
    if known:
        anybody = next(iter(known.values()))
        cast += [(service, known.get(service, anybody)) for service in case.services]
    return tuple(cast)


def _with_replies(clients: Clients, execution: Execution, lives: int) -> Clients:
    """What the clients know after it, and so many lives of their coordinator."""
    replies = list(clients.replies)
    for txn, outcome in execution.replies:
        if txn in clients.begun:
            replies[clients.begun.index(txn)] = REPLY_NAMES[outcome.verdict]
    return Clients(clients.begun, tuple(replies), 0 if all(clients.begun) else clients.lives + lives)
