"""A case as small integers: every state of each node, every packet, and every move from one node state to another.

The network is the set of all packets ever sent: each may be delivered at any time, any number of times, in any order,
or never. This covers loss, duplication and reordering without a bound and without a step of their own. (The trick is
the TLA+ specification's of two-phase commit: Gray and Lamport, "Consensus on transaction commit", TODS 31(1), 2006.)
Time-outs fire whenever they are armed; a crash may fall between any two effects.

The moves of a node state are computed once, however many states of the whole system contain it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import NamedTuple

from msgspec import structs

from harness.explore.case import SearchCase
from harness.explore.clients import CONCLUDING, KEY, Clients
from harness.explore.node import Execution, InstanceState, Live, NodeModel, Packet, describe_message, freeze
from protocols.core import Command, Config, Protocol, Request, Role, Start, TimerFired, Timing
from protocols.errors import UsageError
from protocols.store.lives import horizon, parts, prefix_of
from protocols.store.twin import Twin

DEADLINE = "deadline"


class NodeState(NamedTuple):
    """The state of one node; ``clients`` only at the coordinator, and None there if no transaction is to begin any
    more.

    Two instances of a service share its store and are one node here: ``second_instance`` is the memory of the second.
    """

    local: InstanceState
    clients: Clients | None
    second_instance: Live = ()


@dataclass(frozen=True, slots=True)
class Transition:
    """The label of a step: ``kind`` is a key of ``transcript.STEPS``, ``what`` its object; the rest as in
    ``Execution``.
    """

    kind: str
    node: str
    what: str
    crashed: str
    effects: tuple[str, ...]

    @property
    def is_deadline(self) -> bool:
        """Whether the deadline of a transaction fires."""
        return self.kind == "timer" and self.what == DEADLINE


class Move(NamedTuple):
    """Node number ``at`` goes to ``node_state`` and sends ``packets`` (a bit mask); ``crashes`` is 0 or 1."""

    at: int
    node_state: int
    packets: int
    crashes: int
    step: Transition


class Space:
    """The node states and moves of one case under one protocol. Raises ``UsageError`` if it has no coordinator.

    With ``patience`` 0 an inquiry may end an undecided transaction at any moment, with any other value it never does.
    """

    def __init__(self, protocol: Protocol, config: Config, case: SearchCase, patience: int = 0) -> None:
        # Time does not pass here: a timer may fire whenever it is armed, so the length of a pause would only multiply the states.
        timing = Timing(vote_retry_ms=0, retry_ms=0, patience_ms=patience, inquire_after_ms=0, sweep_every_ms=0)
        config = Config(config.options, config.ablated, timing)
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
        self.addressed = [0] * len(self.nodes)  # for each node a mask of the packets addressed to it
        self._node_states: list[list[NodeState]] = [[] for _ in self.nodes]
        self._node_state_numbers: list[dict[NodeState, int]] = [{} for _ in self.nodes]
        self._packets: list[Packet] = []
        self._packet_numbers: dict[Packet, int] = {}
        self._unfinished: list[dict[int, tuple[str, ...]]] = [{} for _ in self.nodes]
        self.initial = tuple(self._initial(at, Twin(protocol, config)) for at in range(len(self.nodes)))

    def node_state(self, at: int, number: int) -> NodeState:
        """Return the state that has this number at node ``at``."""
        return self._node_states[at][number]

    def number(self, at: int, node_state: NodeState) -> int:
        """Return the number of a node state, a new one if it is new."""
        numbers = self._node_state_numbers[at]
        known = numbers.get(node_state)
        if known is None:
            known = numbers[node_state] = len(self._node_states[at])
            self._node_states[at].append(node_state)
        return known

    def unfinished(self, node_states: tuple[int, ...]) -> dict[str, tuple[str, ...]]:
        """Return the transactions that have not ended, by the name of each node that has any."""
        by_node = ((self.names[at], self.unfinished_at(at, number)) for at, number in enumerate(node_states))
        return {name: txns for name, txns in by_node if txns}

    def unfinished_at(self, at: int, number: int) -> tuple[str, ...]:
        """Return the transactions that have not ended at node ``at``, sorted."""
        txns = self._unfinished[at].get(number)
        if txns is None:
            txns = self._unfinished[at][number] = self._find_unfinished(at, self._node_states[at][number])
        return txns

    def ended(self, node_states: tuple[int, ...]) -> bool:
        """Whether no node has an unfinished transaction."""
        return not any(map(self.unfinished_at, count(), node_states))

    def own_moves(self, at: int, number: int) -> Iterator[Move]:
        """Yield the moves without a packet: a client begins, a timer fires, the recovery sweep runs, an account or
        order changes.
        """
        node_state = self._node_states[at][number]
        if node_state.clients is not None:
            yield from self._start(at, node_state, node_state.clients)
            yield from self._conclude(at, node_state, node_state.clients)
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
        """Yield the moves by which a node receives a packet that is addressed to it."""
        node_state, received = self._node_states[at][number], self._packets[packet]
        for node, local in self._instances(at, node_state):
            if node.name == received.to:
                executions = node.receive(local, received)
                yield from self._moves(at, node_state, node, "deliver", describe_message(received.message), executions)

    def crashes(self, at: int, number: int) -> Iterator[Move]:
        """Yield a crash between two events for each instance with anything in memory: the store stays, the memory is
        lost.
        """
        node_state = self._node_states[at][number]
        for node, local in self._instances(at, node_state):
            if local.live:
                execution = Execution(InstanceState((), local.tables), (), (), "idle", ())
                (move,) = self._moves(at, node_state, node, "crash", "", (execution,))
                yield move._replace(step=replace(move.step, crashed=""))

    def failpoints(self) -> set[str]:
        """Return the names of the points after an effect at which a crash was tried."""
        rivals = (self._second_instance,) if self._second_instance else ()
        return set().union(*(node.failpoints for node in (*self.nodes, *rivals)))

    # ------------------------------------------------------------ inside

    def _instances(self, at: int, node_state: NodeState) -> Iterator[tuple[NodeModel, InstanceState]]:
        """Yield the instances of a node, each with its own memory and the store."""
        yield self.nodes[at], node_state.local
        if at == self.home and self._second_instance:
            yield self._second_instance, InstanceState(node_state.second_instance, node_state.local.tables)

    def _find_unfinished(self, at: int, node_state: NodeState) -> tuple[str, ...]:
        return tuple(sorted({txn for node, local in self._instances(at, node_state) for txn in node.unfinished(local)}))

    def _initial(self, at: int, twin: Twin) -> int:
        home = at == self.home
        name = self.names[at]
        for command in self.case.setup(lambda s: s == name or (home and s not in self.names), orders=home):
            twin.run(command, 0)
        none = ("",) * len(self.case.checkouts)
        clients = Clients(none, none) if home else None
        return self.number(at, NodeState(InstanceState((), freeze(twin.tables)), clients))

    def _start(self, at: int, node_state: NodeState, clients: Clients) -> Iterator[Move]:
        """Yield the begin of the next client's transaction.

        The clients begin in a fixed order, so that no state is repeated under other names of clients. As in the
        service, a life is enlisted in the store before its first transaction, and the request carries its horizon.
        """
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
        # The later client has the higher priority: with wound-wait and wait-die, order of arrival and of age need not agree.
        request = Request(order, home, home, 10 - client, horizon(home, life, oldest, unfinished))
        if self.case.copies:
            request = structs.replace(request, key=KEY, adopts=(KEY,))
        txn = f"{prefix}.{sequence}"
        begun = (*clients.begun[:client], txn, *clients.begun[client + 1 :])
        begins = node_state._replace(clients=clients._replace(begun=begun))
        local = InstanceState(node_state.local.live, freeze(twin.tables))
        yield from self._moves(at, begins, node, "start", order, node.executions(local, txn, Start(txn, request)))

    def _conclude(self, at: int, node_state: NodeState, clients: Clients) -> Iterator[Move]:
        """Yield the conclusions of rejected copies: each is answered after the command that makes its rejection final."""
        node, local = self.nodes[at], node_state.local
        for client, reply in enumerate(clients.replies):
            if reply == CONCLUDING:
                command = clients.conclusion(self.case, client)
                concluded = clients.concluded(client, node.twin(local.tables).run(command, 0))
                after = node_state._replace(clients=concluded)
                execution = node.carry_out(local, command)
                yield from self._moves(at, after, node, "conclude", clients.begun[client], (execution,))

    def _deposits(self, at: int, node_state: NodeState) -> Iterator[Move]:
        """Yield the deposits."""
        for account in self.case.accounts:
            if account.deposit and at == self._account_node(account.service):
                adjust = Command("adjust", (account.key, account.deposit))
                yield from self._once(at, node_state, "deposit", account.key, account.deposit, adjust)

    def _set_anew(self, at: int, node_state: NodeState) -> Iterator[Move]:
        """Yield the resets of accounts to their first balance."""
        for account in self.case.accounts:
            if account.anew and at == self._account_node(account.service):
                prefix, _, number = account.key.partition(":")
                init = Command("init_accounts", (prefix, int(number), 1, account.balance, account.price))
                yield from self._once(at, node_state, "anew", account.key, 1, init)

    def _renewed(self, at: int, node_state: NodeState) -> Iterator[Move]:
        """Yield the removals of orders that are created again."""
        for order in self.case.orders if at == self.home else ():
            if order.renewed:
                yield from self._once(at, node_state, "renew", order.name, 1, *order.renewal())

    def _once(
        self, at: int, node_state: NodeState, kind: str, key: str, made: int, *commands: Command
    ) -> Iterator[Move]:
        """Yield an operation of the public API that happens once, at any time, unless a lock rejects its first command.

        A marker in the store records that it happened: without one the operation would be possible for ever and the
        space infinite.
        """
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
        """Return the number of the node whose store has a service's accounts."""
        return self.names.index(service) if service in self.names else self.home

    def _moves(
        self, at: int, node_state: NodeState, node: NodeModel, kind: str, what: str, executions: Iterable[Execution]
    ) -> Iterator[Move]:
        for execution in executions:
            packets = 0
            for packet in execution.sent:
                packets |= 1 << self._packet_number(packet)
            number = self.number(at, self._apply(node_state, node, execution))
            step = Transition(kind, node.name, what, execution.crashed, execution.effects)
            yield Move(at, number, packets, int(bool(execution.crashed)), step)

    def _apply(self, node_state: NodeState, node: NodeModel, execution: Execution) -> NodeState:
        """Return the node state after an execution by one of its instances. Only a crash of the first instance begins
        a new life.
        """
        if node is self._second_instance:
            clients = node_state.clients and node_state.clients.with_replies(self.case, execution, 0)
            return NodeState(
                InstanceState(node_state.local.live, execution.local.tables), clients, execution.local.live
            )
        return NodeState(
            execution.local,
            node_state.clients and node_state.clients.with_replies(self.case, execution, int(bool(execution.crashed))),
            node_state.second_instance,
        )

    def _packet_number(self, packet: Packet) -> int:
        number = self._packet_numbers.get(packet)
        if number is None:
            number = self._packet_numbers[packet] = len(self._packets)
            self._packets.append(packet)
            self.addressed[self._instance_node(packet.to)] |= 1 << number
        return number

    def _instance_node(self, name: str) -> int:
        """Return the number of the node that has the instance of this name."""
        return self.home if self._second_instance and name == self._second_instance.name else self.names.index(name)


def _roles(protocol: Protocol, case: SearchCase) -> tuple[tuple[str, Role], ...]:
    """Return (service, role) of each node: the coordinator first, then a participant for each service of the case.

    A service that the protocol does not name has the role of one that it names. Where all data is in the
    coordinator's store, the coordinator is the only node.
    """
    home = next((service for service, role in protocol.roles.items() if role.name == "coordinator"), None)
    if home is None:
        raise UsageError(f"{protocol.name} has no role named 'coordinator', so no transaction could begin")
    known = {service: role for service, role in protocol.roles.items() if protocol.store_of(service) != home}
    roles = [(home, protocol.roles[home])]
    if known:
        any_role = next(iter(known.values()))
        roles += [(service, known.get(service, any_role)) for service in case.services]
    return tuple(roles)
