"""The anomalies of a history, named after Adya ("Weak Consistency", PhD thesis, MIT 1999) and Elle (Kingsbury and Alvaro, "Elle:
Inferring Isolation Anomalies from Experimental Observations", VLDB 2020).

A cycle is named after the dependencies in it:

    G0         only WW: two transactions overwrote each other
    G1c        WW and WR: each read or overwrote an effect of the other
    G-single   exactly one RW: a transaction read one effect of another transaction and missed another one
    G2-item    several RW; G-nonadjacent if no two of them are adjacent, since snapshot isolation excludes these

with the suffix `-process` or `-realtime` if the cycle needs an edge of the order of each client's operations, or of
real time. A strongly connected component gives one anomaly: the worst of its cycles in the order above, and the
shortest of that kind.
"""

from collections.abc import Iterator, Sequence

from harness.checkers.dependencies import PROCESS, REALTIME, RW, WR, WW, dense, sparse
from harness.checkers.graph import (
    FREE,
    Cycle,
    Part,
    cyclic_components,
    shortest_cycle,
    shortest_cycle_with_one,
)
from harness.checkers.transactions import Anomaly, Txn
from harness.checkers.versions import Versions

CYCLES = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")
ORDERS = {"": (), "-process": (PROCESS,), "-realtime": (PROCESS, REALTIME)}


def find_anomalies(txns: Sequence[Txn]) -> list[Anomaly]:
    """Return every anomaly of the history, in an order that depends only on the history.

    Without an anomaly the history is strictly serializable; with suffixed anomalies only, it is serializable. Takes
    time linear in the transactions, apart from the sorting, unless there are large cyclic components. Raises
    `ValueError` if an element is no power of two or belongs to two transactions.
    """
    versions = Versions(txns)
    return [*versions.anomalies, *_cycles(versions)]


def _cycles(versions: Versions) -> Iterator[Anomaly]:
    """Yield one anomaly for each cyclic component, under the weakest order that makes it cyclic.

    The sparse graph of all transactions only finds the members of components; the dense graph, quadratic in the worst
    case, is built for these alone. A correct run pays for the first.
    """
    size = len(versions.txns)
    components = cyclic_components(sparse(versions))
    members = sorted(node for component in components for node in component if node < size)
    if not members:
        return
    whole = dense(versions, members)
    all_nodes = range(len(whole.graph.head))
    reported: set[int] = set()
    for suffix, order in ORDERS.items():
        labels = {FREE, WW, WR, RW, *order}
        for nodes in cyclic_components(whole.within(all_nodes, labels).graph):
            # More edges only merge components. A component with a reported node has its cycle already, under a weaker order,
            # and the name with a suffix would claim less than is known.
            if reported.isdisjoint(nodes):
                reported.update(nodes)
                name, cycle = _worst(whole.within(nodes, labels), order)
                yield Anomaly(name + suffix, cycle.nodes, (), cycle.labels)


def _worst(part: Part, order: Sequence[int]) -> tuple[str, Cycle]:
    """Return the name of the worst cycle in a cyclic component, and a shortest cycle of that name.

    The levels are nested (PL-1, PL-2, PL-3 in Adya's thesis): a level that excludes the worst cycle is
    violated by the component whatever else it contains, so one name is enough for the verdict.
    """
    all_nodes = range(len(part.graph.head))
    for name, kinds in (("G0", {WW}), ("G1c", {WW, WR})):
        cycle = shortest_cycle(part.within(all_nodes, {FREE, *kinds, *order}))
        if cycle:
            return name, cycle
    # No cycle of WW and WR is left here, which `shortest_cycle_with_one` relies on.
    cycle = shortest_cycle_with_one(part, RW)
    if cycle:
        return "G-single", cycle
    cycle = shortest_cycle(part)
    if cycle is None:
        raise AssertionError("a cyclic component has a cycle")
    # A process or real-time edge may have merged components, so non-adjacent RW edges prove nothing under these orders.
    return ("G2-item" if order or _adjacent(cycle.labels) else "G-nonadjacent"), cycle


def _adjacent(labels: Sequence[int]) -> bool:
    """Whether two RW edges follow each other on the cycle. Position -1 is the last edge, which leads to the first.

    Snapshot isolation allows only cycles with two adjacent anti-dependencies (Fekete et al., "Making snapshot isolation
    serializable", TODS 30(2), 2005).
    """
    return any(labels[i - 1] == labels[i] == RW for i in range(len(labels)))
