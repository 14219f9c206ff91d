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

from harness.explore.case import Case
from harness.explore.node import Live, Local, Node, Packet, Way, freeze, words
from protocols.core import Command, Config, Protocol, Request, Role, Start, TimerFired, Timing, Verdict
from protocols.errors import UsageError
from protocols.lives import horizon, parts, prefix_of
from protocols.service.lua_library import Twin

DEADLINE = "deadline"
HEARD = {Verdict.COMMITTED: "yes", Verdict.REFUSED: "no", Verdict.CONFLICT: "no", Verdict.ACCEPTED: "later"}


class Clients(NamedTuple):
    """The coordinator's clients: ``begun`` has the txn of each or "", ``told`` what it heard: "", "yes", "no", "later".

    ``lives`` counts the coordinator's crashes, as long as somebody has still to begin: a new life names transactions anew.
    """

    begun: tuple[str, ...]
    told: tuple[str, ...]
    lives: int = 0


class Place(NamedTuple):
    """Where one node is; ``clients`` at the coordinator only, and there None if nobody is to begin any more.

    Two instances of a service share its store, so they are in one place: ``rival`` is what the second has in memory.
    """

    local: Local
    clients: Clients | None
    rival: Live = ()


@dataclass(frozen=True, slots=True)
class Transition:
    """How a state came about: ``kind`` start, deliver, timer, sweep or crash; ``crashed``, ``effects`` as in ``Way``."""

    kind: str
    node: str
    what: str
    crashed: str
    effects: tuple[str, ...]

    @property
    def gives_up(self) -> bool:
        """Whether it happens only because somebody ran out of patience."""
        return self.kind == "timer" and self.what == DEADLINE


class Move(NamedTuple):
    """The node ``at`` goes to ``place``, ``packets`` (a bit mask) are sent, ``crashes`` is 0 or 1."""

    at: int
    place: int
    packets: int
    crashes: int
    step: Transition


class Space:
    """The places and moves of one case under one protocol. Raises ``UsageError`` if nobody there coordinates.

    ``patience`` 0 lets an undecided transaction be ended by an inquiry at any moment, anything else never does.
    """

    def __init__(self, protocol: Protocol, config: Config, case: Case, patience: int = 0) -> None:
        # Nothing takes time here, so no pause is worth a state of its own.
        config = Config(config.options, config.ablated, Timing(ask=0, tell=0, patience=patience, doubt=0, sweep=0))
        self.case = case
        self.nodes = tuple(
            Node(service, role, protocol, config, late=case.late) for service, role in _cast(protocol, case)
        )
        self.names = tuple(node.service for node in self.nodes)
        self.home = next(at for at, node in enumerate(self.nodes) if node.role.name == "coordinator")
        coordinator = self.nodes[self.home]
        name = f"{coordinator.service}-2"
        self._rival = Node(coordinator.service, coordinator.role, protocol, config, name) if case.rival else None
        self.addressed = [0] * len(self.nodes)  # to each node: the packets that are addressed to it
        self._places: list[list[Place]] = [[] for _ in self.nodes]
        self._place_numbers: list[dict[Place, int]] = [{} for _ in self.nodes]
        self._packets: list[Packet] = []
        self._packet_numbers: dict[Packet, int] = {}
        self._unfinished: dict[tuple[int, int], tuple[str, ...]] = {}
        self.initial = tuple(self._initial(at, Twin(protocol, config)) for at in range(len(self.nodes)))

    def place(self, at: int, number: int) -> Place:
        return self._places[at][number]

    def number(self, at: int, place: Place) -> int:
        """The number of a place, a new one if it was never met."""
        numbers = self._place_numbers[at]
        found = numbers.get(place)
        if found is None:
            found = numbers[place] = len(self._places[at])
            self._places[at].append(place)
        return found

    def unfinished(self, places: tuple[int, ...]) -> dict[str, tuple[str, ...]]:
        """The transactions that have not ended, by node; a node without any is left out."""
        found = {}
        for at, number in enumerate(places):
            left = self._unfinished.get((at, number))
            if left is None:
                left = self._unfinished[at, number] = self._left(at, self._places[at][number])
            if left:
                found[self.names[at]] = left
        return found

    def own_moves(self, at: int, number: int) -> Iterator[Move]:
        """What a node can do by itself: let a client begin, let a timer fire, look for what is unfinished."""
        place = self._places[at][number]
        if place.clients is not None:
            yield from self._start(at, place, place.clients)
        for node, local in self._instances(at, place):
            for txn, _, timers in local.live:
                for timer in timers:
                    yield from self._moves(at, place, node, "timer", timer, node.ways(local, txn, TimerFired(timer)))
            yield from self._moves(at, place, node, "sweep", "", node.sweep(local))
        yield from self._deposits(at, place)
        yield from self._set_anew(at, place)
        yield from self._renewed(at, place)

    def deliveries(self, at: int, number: int, packet: int) -> Iterator[Move]:
        """What a node can make of a packet that is addressed to it."""
        place, found = self._places[at][number], self._packets[packet]
        for node, local in self._instances(at, place):
            if node.name == found.to:
                ways = node.receive(local, found)
                yield from self._moves(at, place, node, "deliver", words(found.message), ways)

    def crashes(self, at: int, number: int) -> Iterator[Move]:
        """What a crash between two events leaves, of each instance that has anything to forget."""
        place = self._places[at][number]
        for node, local in self._instances(at, place):
            if local.live:
                way = Way(Local((), local.tables), (), (), "idle", ())
                (move,) = self._moves(at, place, node, "crash", "", (way,))
                yield move._replace(step=replace(move.step, crashed=""))

    def failpoints(self) -> set[str]:
        """The names of all points after an effect at which a crash has been tried."""
        rivals = (self._rival,) if self._rival else ()
        return set().union(*(node.failpoints for node in (*self.nodes, *rivals)))

    # ------------------------------------------------------------ inside

    def _instances(self, at: int, place: Place) -> Iterator[tuple[Node, Local]]:
        """The instances of a service, each with what it sees: its own memory, and the store."""
        yield self.nodes[at], place.local
        if at == self.home and self._rival:
            yield self._rival, Local(place.rival, place.local.tables)

    def _left(self, at: int, place: Place) -> tuple[str, ...]:
        return tuple(sorted({txn for node, local in self._instances(at, place) for txn in node.unfinished(local)}))

    def _initial(self, at: int, twin: Twin) -> int:
        home = at == self.home
        name = self.names[at]
        for command in self.case.setup(lambda s: s == name or (home and s not in self.names), orders=home):
            twin.run(command, 0)
        nobody = ("",) * len(self.case.checkouts)
        clients = Clients(nobody, nobody) if home else None
        return self.number(at, Place(Local((), freeze(twin.tables)), clients))

    def _start(self, at: int, place: Place, clients: Clients) -> Iterator[Move]:
        """The clients begin in turn; each has one try. A life has its number before its first, and knows what has ended."""
        client = sum(map(bool, clients.begun))
        if client == len(clients.begun) or (self.case.in_turn and client and not clients.told[client - 1]):
            return
        home, order, node = self.names[at], self.case.checkouts[client], self.nodes[at]
        life = clients.lives + 1
        twin = node.twin(place.local.tables)
        twin.run(Command("enlist", (home, life)), 0)
        prefix = prefix_of(home, life)
        sequence = sum(begun.startswith(prefix + ".") for begun in clients.begun)
        oldest = min([sequence, *(parts(txn)[1][1] for txn, _, _ in place.local.live if txn.startswith(prefix + "."))])
        unfinished = [txn for txn, _ in twin.run(Command(node.role.recovery, (home, -1)), 0)]
        # The later client is the older one: ages and arrivals need not agree.
        request = Request(order, home, home, 10 - client, horizon(home, life, oldest, unfinished))
        txn = f"{prefix}.{sequence}"
        begun = (*clients.begun[:client], txn, *clients.begun[client + 1 :])
        begins = place._replace(clients=clients._replace(begun=begun))
        local = Local(place.local.live, freeze(twin.tables))
        yield from self._moves(at, begins, node, "start", order, node.ways(local, txn, Start(txn, request)))

    def _deposits(self, at: int, place: Place) -> Iterator[Move]:
        """What is added to accounts."""
        for account in self.case.accounts:
            if account.deposit and at == self._keeper(account.service):
                adjust = Command("adjust", (account.key, account.deposit))
                yield from self._once(at, place, "deposit", account.key, account.deposit, adjust)

    def _set_anew(self, at: int, place: Place) -> Iterator[Move]:
        """Accounts that begin once more with what they began with."""
        for account in self.case.accounts:
            if account.anew and at == self._keeper(account.service):
                prefix, _, number = account.key.partition(":")
                init = Command("init_accounts", (prefix, int(number), 1, account.balance, account.price))
                yield from self._once(at, place, "anew", account.key, 1, init)

    def _renewed(self, at: int, place: Place) -> Iterator[Move]:
        """Orders that are removed and made anew."""
        for order in self.case.orders if at == self.home else ():
            if order.renewed:
                yield from self._once(at, place, "renew", order.name, 1, *order.renewal())

    def _once(self, at: int, place: Place, kind: str, key: str, made: int, *commands: Command) -> Iterator[Move]:
        """What somebody does at any time, unless it was done already or somebody's lock is in the way of its first step."""
        marker = (f"{kind}:{key}", (("made", made),))
        node, local = self.nodes[at], place.local
        if marker in local.tables:
            return
        first, *others = commands
        way = node.carry_out(local, first)
        if way.local.tables == local.tables:
            return
        for command in others:
            further = node.carry_out(way.local, command)
            way = further._replace(effects=(*way.effects, *further.effects))
        tables = tuple(sorted((*way.local.tables, marker)))
        yield from self._moves(at, place, node, kind, key, (way._replace(local=Local(local.live, tables)),))

    def _keeper(self, service: str) -> int:
        """Where a service's accounts are."""
        return self.names.index(service) if service in self.names else self.home

    def _moves(self, at: int, place: Place, node: Node, kind: str, what: str, ways: Iterable[Way]) -> Iterator[Move]:
        for way in ways:
            packets = 0
            for packet in way.sent:
                packets |= 1 << self._packet(packet)
            number = self.number(at, self._after(place, node, way))
            step = Transition(kind, node.name, what, way.crashed, way.effects)
            yield Move(at, number, packets, int(bool(way.crashed)), step)

    def _after(self, place: Place, node: Node, way: Way) -> Place:
        """The place once one of its instances has gone this way. Whose clients live on has no new life to count."""
        if node is self._rival:
            clients = place.clients and _heard(place.clients, way, 0)
            return Place(Local(place.local.live, way.local.tables), clients, way.local.live)
        return Place(way.local, place.clients and _heard(place.clients, way, int(bool(way.crashed))), place.rival)

    def _packet(self, packet: Packet) -> int:
        found = self._packet_numbers.get(packet)
        if found is None:
            found = self._packet_numbers[packet] = len(self._packets)
            self._packets.append(packet)
            self.addressed[self._whereabouts(packet.to)] |= 1 << found
        return found

    def _whereabouts(self, name: str) -> int:
        """Where an instance of that name is."""
        return self.home if self._rival and name == self._rival.name else self.names.index(name)


def _cast(protocol: Protocol, case: Case) -> tuple[tuple[str, Role], ...]:
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


def _heard(clients: Clients, way: Way, lives: int) -> Clients:
    """What the clients know after it, and so many lives of their coordinator."""
    told = list(clients.told)
    for txn, outcome in way.told:
        if txn in clients.begun:
            told[clients.begun.index(txn)] = HEARD[outcome.verdict]
    return Clients(clients.begun, tuple(told), 0 if all(clients.begun) else clients.lives + lives)
