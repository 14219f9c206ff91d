"""Directed graphs of labelled edges in arrays of ints, and the searches which a cycle checker needs.

Strongly connected components are Tarjan's (SIAM J. Comput. 1(2), 1972), iterative, because a dependency
graph is as deep as the history is long. Nodes are 0..n-1; nothing here knows what they stand for.
"""

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

FREE = 0
"""The label of an edge that goes on from an auxiliary node: it adds nothing to the length of a path."""

EFFORT = 2_000_000
"""Edges to look at in one search for a shortest cycle; up to there it is exact, beyond it samples."""


class Graph:
    """A growing graph: `head[v]` is the first edge out of v, `after[e]` the next one, -1 the end."""

    __slots__ = ("after", "head", "label", "target")

    def __init__(self, nodes: int = 0) -> None:
        self.head = [-1] * nodes
        self.after = array("i")
        self.target = array("i")
        self.label = bytearray()

    def node(self) -> int:
        self.head.append(-1)
        return len(self.head) - 1

    def edge(self, source: int, target: int, label: int) -> None:
        self.after.append(self.head[source])
        self.head[source] = len(self.target)
        self.target.append(target)
        self.label.append(label)

    def link(self, sources: Sequence[int], targets: Sequence[int], label: int) -> None:
        """Each source before each other target: through a node in the middle, so that n+m edges are enough.

        A node on both sides would come before itself that way, so it gets edges of its own.
        """
        if len(sources) == 1 == len(targets):
            if sources[0] != targets[0]:
                self.edge(sources[0], targets[0], label)
            return
        if len(sources) > 1 < len(targets):
            both = set(sources).intersection(targets)
            middle = self.node()
            for source in sources:
                if source not in both:
                    self.edge(source, middle, label)
            self.link((middle,), targets, FREE)
            sources = sorted(both)
        for source in sources:
            for target in targets:
                if source != target:
                    self.edge(source, target, label)

    def out(self, node: int) -> Iterator[int]:
        """The edges that leave `node`."""
        edge = self.head[node]
        while edge >= 0:
            yield edge
            edge = self.after[edge]


class Part(NamedTuple):
    """An induced subgraph; `names[v]` is what its node v is called in the whole graph."""

    graph: Graph
    names: Sequence[int]

    def within(self, nodes: Iterable[int], labels: Collection[int] | None = None) -> "Part":
        """The part of this part with these nodes only, and the edges between them (with these labels)."""
        number = {node: index for index, node in enumerate(nodes)}
        whole, part = self.graph, Graph(len(number))
        for node, index in number.items():
            for edge in whole.out(node):
                target = number.get(whole.target[edge])
                if target is not None and (labels is None or whole.label[edge] in labels):
                    part.edge(index, target, whole.label[edge])
        return Part(part, [self.names[node] for node in number])


def components(graph: Graph) -> Iterator[list[int]]:
    """The strongly connected components, each after all those that it leads to (Tarjan 1972)."""
    target, after = graph.target, graph.after
    cursor = graph.head.copy()  # the edge each node looks at next
    size = len(cursor)
    done = size + 1  # more than any index, so that a finished component never lowers a link
    index, link = [0] * size, [0] * size
    found = 0
    path: list[int] = []
    open_nodes: list[int] = []
    for root in range(size):
        if index[root]:
            continue
        found += 1
        index[root] = link[root] = found
        path.append(root)
        open_nodes.append(root)
        while path:
            node = path[-1]
            edge, follower = cursor[node], -1
            while edge >= 0:
                follower = target[edge]
                edge = after[edge]
                if not index[follower]:
                    break
                if link[follower] < link[node]:  # noqa: PLR1730 (a call of min() for each edge is slow)
                    link[node] = link[follower]
            else:
                path.pop()
                if path and link[node] < link[path[-1]]:
                    link[path[-1]] = link[node]
                if link[node] == index[node]:
                    yield _close(node, open_nodes, link, done)
                continue
            cursor[node] = edge
            found += 1
            index[follower] = link[follower] = found
            path.append(follower)
            open_nodes.append(follower)


def _close(node: int, open_nodes: list[int], link: list[int], done: int) -> list[int]:
    component = []
    while True:
        member = open_nodes.pop()
        link[member] = done
        component.append(member)
        if member == node:
            return component


def cyclic_components(graph: Graph) -> list[list[int]]:
    """The components with a cycle in them (no node has an edge to itself here)."""
    return [component for component in components(graph) if len(component) > 1]


def shortest_path(graph: Graph, start: int, goal: int, limit: int | None = None) -> list[tuple[int, int]] | None:
    """A shortest path as (node, edge that leaves it); from a node to itself it is a cycle.

    `FREE` edges cost nothing, all others 1. None if there is no path, or none of at most `limit`.
    """
    came: dict[int, tuple[int, int]] = {}
    frontier, length = [start], 0
    while frontier and goal not in came:
        for node in frontier:  # grows meanwhile: what a free edge leads to is just as near
            frontier.extend(_reach(graph, node, came, free=True))
        length += 1
        if limit is not None and length > limit:
            break
        frontier = [target for node in frontier for target in _reach(graph, node, came, free=False)]
    return _trace(came, start, goal) if goal in came else None


def _reach(graph: Graph, node: int, came: dict[int, tuple[int, int]], *, free: bool) -> Iterator[int]:
    for edge in graph.out(node):
        target = graph.target[edge]
        if target not in came and (graph.label[edge] == FREE) == free:
            came[target] = (node, edge)
            yield target


def _trace(came: dict[int, tuple[int, int]], start: int, goal: int) -> list[tuple[int, int]]:
    path = [came[goal]]
    while path[-1][0] != start:
        path.append(came[path[-1][0]])
    return path[::-1]


class Cycle(NamedTuple):
    """`nodes[i]` leads to `nodes[i+1]`, the last to the first, by an edge labelled `labels[i]`."""

    nodes: tuple[int, ...]
    labels: tuple[int, ...]


def shortest_cycle(part: Part) -> Cycle | None:
    """A shortest cycle of the part, named as in the whole graph and without auxiliary nodes, or None.

    Exact while nodes times edges of a component stay below `EFFORT`; in a larger one as many nodes are
    tried as that allows, at least one.
    """
    best: Cycle | None = None
    for members in cyclic_components(part.graph):
        inner = part.within(members)
        tries = _tries(inner.graph)
        for start in range(0, len(members), max(1, len(members) // tries)):
            path = shortest_path(inner.graph, start, start, len(best.nodes) - 1 if best else None)
            if path:
                best = Cycle(*_steps(inner, path))
    return best


def shortest_cycle_with_one(part: Part, label: int) -> Cycle | None:
    """A shortest cycle of the part with exactly one edge of `label`, or None if there is none.

    Without these edges the part must have no cycle. Whether there is a cycle is exact; how short it is,
    is as in `shortest_cycle`.
    """
    graph, nodes = part.graph, range(len(part.graph.head))
    rest = part.within(nodes, set(graph.label) - {label})
    edges = [(node, graph.target[e]) for node in nodes for e in graph.out(node) if graph.label[e] == label]
    best: Cycle | None = None
    for source, target in islice(_closing(rest.graph, edges), _tries(graph)):
        path = shortest_path(rest.graph, target, source, len(best.nodes) - 2 if best else None)
        if path:
            between, labels = _steps(rest, path)
            best = Cycle((part.names[source], *between), (label, *labels))
    return best


def _closing(graph: Graph, edges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Those of the edges source -> target for which the acyclic graph has a path target -> source.

    Reachability by bit sets: what each node reaches of some thousand sources in one pass over the graph.
    """
    order = [component[0] for component in components(graph)]
    sources = sorted({source for source, _ in edges})
    width = max(64, min(4096, (1 << 28) // max(1, len(order))))
    for low in range(0, len(sources), width):
        bit = {source: 1 << index for index, source in enumerate(sources[low : low + width])}
        reached = [0] * len(order)
        for node in order:
            seen = bit.get(node, 0)
            for edge in graph.out(node):
                seen |= reached[graph.target[edge]]
            reached[node] = seen
        yield from (edge for edge in edges if reached[edge[1]] & bit.get(edge[0], 0))


def _tries(graph: Graph) -> int:
    return max(1, EFFORT // max(1, len(graph.target)))


def _steps(part: Part, path: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Nodes and labels of a path without the free edges: only these leave auxiliary nodes."""
    taken = [(part.names[node], part.graph.label[e]) for node, e in path if part.graph.label[e] != FREE]
    return tuple(node for node, _ in taken), tuple(label for _, label in taken)
