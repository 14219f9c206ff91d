"""Names for what is wrong with a history, after Adya (thesis, 1999) and Elle (VLDB 2020).

A cycle is named after the dependencies in it:

    G0         only WW: two transactions wrote over each other
    G1c        WW and WR: each saw, or wrote over, what the other did
    G-single   exactly one RW: somebody missed the effect of a transaction whose other effect it knew
    G2-item    several RW; G-nonadjacent if no two of them follow each other, as snapshots exclude these

with the suffix `-process` or `-realtime` if there is a cycle only when the order of each client's work, or
of real time, counts as well. One that is knotted into a component gives one finding: the worst of its
cycles in the order above, and the shortest of that kind.
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
    """Every anomaly of the history, in an order that depends on nothing but the history.

    No anomaly without a suffix means serializable; none at all, strictly serializable. Takes time linear
    in the transactions, apart from the sorting, unless there are large cyclic components.
    Raises `ValueError` if an element is no power of two or belongs to two transactions.
    """
    versions = Versions(txns)
    return [*versions.anomalies, *_cycles(versions)]


def _cycles(versions: Versions) -> Iterator[Anomaly]:
    size = len(versions.txns)
    knots = cyclic_components(sparse(versions))
    members = sorted(node for knot in knots for node in knot if node < size)
    if not members:
        return
    whole = dense(versions, members)
    everything = range(len(whole.graph.head))
    told: set[int] = set()
    for suffix, order in ORDERS.items():
        labels = {FREE, WW, WR, RW, *order}
        for nodes in cyclic_components(whole.within(everything, labels).graph):
            if told.isdisjoint(nodes):
                told.update(nodes)
                name, cycle = _worst(whole.within(nodes, labels), order)
                yield Anomaly(name + suffix, cycle.nodes, (), cycle.labels)


def _worst(part: Part, order: Sequence[int]) -> tuple[str, Cycle]:
    """The worst kind of cycle in a cyclic component. Isolation levels are nested: it decides for all."""
    everything = range(len(part.graph.head))
    for name, kinds in (("G0", {WW}), ("G1c", {WW, WR})):
        cycle = shortest_cycle(part.within(everything, {FREE, *kinds, *order}))
        if cycle:
            return name, cycle
    cycle = shortest_cycle_with_one(part, RW)
    if cycle:
        return "G-single", cycle
    cycle = shortest_cycle(part)
    if cycle is None:
        raise AssertionError("a cyclic component has a cycle")
    return ("G2-item" if order or _adjacent(cycle.labels) else "G-nonadjacent"), cycle


def _adjacent(labels: Sequence[int]) -> bool:
    return any(labels[i - 1] == labels[i] == RW for i in range(len(labels)))
