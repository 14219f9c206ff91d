"""The dependency graph of Adya's thesis ("Weak Consistency", MIT 1999), derived from reads.

A leads to B if A must come before B in any order that explains the history:

    WW   B added to a key after A did: some read saw A's element and not B's
    WR   B read a state with A's element in it
    RW   A read a state without B's element in it (an anti-dependency)
    PROCESS   the client of B had finished A before
    REALTIME   A ended before B began

The first three are between transactions that took effect. A serial order that explains the history is a topological
order of the graph and vice versa: the graph has no cycle if and only if the history is serializable (the first
three), or strictly serializable (all five).

There are quadratically many such pairs. `sparse` keeps a linear number of edges with the same cyclic components.
`dense` makes every pair one edge long, through chains of auxiliary nodes, for the members of these components alone,
so that a shortest cycle has no detour.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from harness.checkers.graph import FREE, Graph, Part
from harness.checkers.transactions import NO_SESSION, Txn
from harness.checkers.versions import Key, Versions

WW, WR, RW, PROCESS, REALTIME = 1, 2, 3, 4, 5

NEVER = 1 << 64
"""Later than every time in nanoseconds."""


def sparse(versions: Versions) -> Graph:
    """Return the graph of all transactions; nodes are positions in `versions.txns`, auxiliary ones follow.

    WW is left out: a read of the state in between follows the first writer by WR and leads to the second by RW, so
    the path stays. Process order is left out where time passed, since real-time order contains it.
    """
    txns = versions.txns
    graph = Graph(len(txns))
    for key in versions.keys.values():
        readers: list[int] = []
        for elements, state in _growth(key):
            added = key.writers_of(elements)
            graph.link(readers, added, RW)
            readers = key.readers.get(state, [])
            graph.link(added, readers, WR)
    begins = _by_time(txns, [index for index, there in enumerate(versions.took_effect) if there])
    for earlier, later in _sessions(txns, begins):
        if txns[earlier].completed_ns == txns[later].invoked_ns:
            graph.edge(earlier, later, PROCESS)
    _real_time(graph, txns, begins, range(len(txns)))
    return graph


def dense(versions: Versions, members: Sequence[int]) -> Part:
    """Return the graph of `members` alone, every dependency between two of them one edge long."""
    txns = versions.txns
    graph = Graph(len(members))
    number = {txn: node for node, txn in enumerate(members)}
    begins = _by_time(txns, members)
    for name in dict.fromkeys(name for txn in members for name, _ in (*txns[txn].adds, *txns[txn].reads)):
        if name in versions.keys:
            _chain_key(graph, versions.keys[name], number)
    ends: dict[int, int] = {}
    for earlier, later in _sessions(txns, begins):
        ends[later] = graph.node()
        graph.edge(number[earlier], ends[later], PROCESS)
        graph.edge(ends[later], number[later], FREE)
        if earlier in ends:
            graph.edge(ends[earlier], ends[later], FREE)
    _real_time(graph, txns, begins, number)
    return Part(graph, [*members, *(-1 for _ in range(len(members), len(graph.head)))])


def _growth(key: Key) -> Iterable[tuple[int, int]]:
    """Yield (new elements, state) in version order; last, the elements that no read has seen."""
    before = 0
    for state in key.states:
        yield state & ~before, state
        before = state
    if key.states and key.committed != before:
        yield key.committed & ~before, key.committed


def _chain_key(graph: Graph, key: Key, number: dict[int, int]) -> None:
    """Add the dependencies over one key by three chains of auxiliary nodes along the version order.

    A writer enters the chains `over` and `seen`: from there `FREE` edges lead on to all later writers (WW) and
    readers (WR). A reader enters `missed`, from where they lead to all later writers (RW). So n transactions need
    O(n) edges and each pair is one labelled edge apart, where edges between all pairs would need O(n^2).
    """
    over, seen, missed = graph.node(), graph.node(), graph.node()
    growth = [
        (_nodes(key.writers_of(elements), number), _nodes(key.readers.get(state, []), number))
        for elements, state in _growth(key)
    ]
    own = {node for writers, _ in growth for node in writers}
    for position, (writers, readers) in enumerate(growth):
        _fan(graph, (over, missed), writers)
        over, seen, missed = (_extend(graph, node) for node in (over, seen, missed))
        for node in writers:
            graph.edge(node, over, WW)
            graph.edge(node, seen, WR)
        _fan(graph, (seen,), readers)
        for node in readers:
            if node in own:  # over the chain it would precede itself, a cycle that is none
                later = [writer for added, _ in growth[position + 1 :] for writer in added]
                graph.link((node,), later, RW)
            else:
                graph.edge(node, missed, RW)


def _nodes(txns: Iterable[int], number: dict[int, int]) -> list[int]:
    return [number[txn] for txn in txns if txn in number]


def _fan(graph: Graph, sources: Iterable[int], targets: Collection[int]) -> None:
    for source in sources:
        for target in targets:
            graph.edge(source, target, FREE)


def _extend(graph: Graph, end: int) -> int:
    node = graph.node()
    graph.edge(end, node, FREE)
    return node


def _by_time(txns: Sequence[Txn], members: Iterable[int]) -> list[int]:
    """Return the members in the order of their begin."""
    return sorted(members, key=[txn.invoked_ns for txn in txns].__getitem__)


def _sessions(txns: Sequence[Txn], begins: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Yield (earlier, later) for each two consecutive transactions of one process."""
    last: dict[int, int] = {}
    for index in begins:
        txn = txns[index]
        if txn.process == NO_SESSION:
            continue
        before = last.get(txn.process)
        if before is not None:
            ended = txns[before].completed_ns
            if ended is not None and ended <= txn.invoked_ns:
                yield before, index
        last[txn.process] = index


def _real_time(graph: Graph, txns: Sequence[Txn], begins: Sequence[int], number: Mapping[int, int] | range) -> None:
    """Add real-time order through a chain of moments: a transaction enters the chain at its end and later begins
    leave it.

    An interval order has O(n^2) pairs and O(n) edges this way. A moment is a begin before which at least one
    transaction ended.
    """
    over_ns = [NEVER if txn.completed_ns is None else txn.completed_ns for txn in txns]
    ends = sorted(begins, key=over_ns.__getitem__)
    moment, over = -1, 0
    for index in begins:
        began = txns[index].invoked_ns
        if over_ns[ends[over]] < began:
            moment = _extend(graph, moment) if moment >= 0 else graph.node()
            # The loop ends at this transaction at the latest, whose end is not before its begin.
            while over_ns[ends[over]] < began:
                graph.edge(number[ends[over]], moment, REALTIME)
                over += 1
        if moment >= 0:
            graph.edge(moment, number[index], FREE)
