"""Directed graphs of labelled edges in arrays of ints, and the searches of a cycle checker.

Strongly connected components are Tarjan's ("Depth-first search and linear graph algorithms", SIAM J. Comput. 1(2), 1972),
iterative, because a dependency graph is as deep as the history is long. Nodes are 0..n-1 without a meaning here.
"""

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

FREE = 0
"""The label of an edge out of an auxiliary node: it has length 0."""

EFFORT = 2_000_000
"""Edges visited in one search for a shortest cycle: the search is exact up to this bound, and samples beyond it."""


class Graph:
    """A growing graph: `head[v]` is the first edge out of v, `after[e]` the next one, -1 the end.

    Linked lists in arrays of ints: an object for each edge would take many times the memory of a long history.
    """

    __slots__ = ("after", "head", "label", "target")

    def __init__(self, nodes: int) -> None:
        self.head = [-1] * nodes
        self.after = array("i")
        self.target = array("i")
        self.label = bytearray()

    def node(self) -> int:
        """Add a node and return it."""
        self.head.append(-1)
        return len(self.head) - 1

    def edge(self, source: int, target: int, label: int) -> None:
        """Add an edge."""
        self.after.append(self.head[source])
        self.head[source] = len(self.target)
        self.target.append(target)
        self.label.append(label)

    def link(self, sources: Sequence[int], targets: Sequence[int], label: int) -> None:
        """Add a path from each source to each other target: through a node in the middle, so that n+m edges are enough.

        A node on both sides would reach itself through the middle, a cycle that is none, so it gets edges of its own.
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
        """Yield the edges out of `node`."""
        edge = self.head[node]
        while edge >= 0:
            yield edge
            edge = self.after[edge]


class Part(NamedTuple):
    """An induced subgraph; `names[v]` is the name of its node v in the whole graph."""

    graph: Graph
    names: Sequence[int]

    def within(self, nodes: Iterable[int], labels: Collection[int] | None = None) -> "Part":
        """Return the part with these nodes only, and the edges between them (with these labels)."""
        number = {node: index for index, node in enumerate(nodes)}
        whole, part = self.graph, Graph(len(number))
        for node, index in number.items():
            for edge in whole.out(node):
                target = number.get(whole.target[edge])
                if target is not None and (labels is None or whole.label[edge] in labels):
                    part.edge(index, target, whole.label[edge])
        return Part(part, [self.names[node] for node in number])


def components(graph: Graph) -> Iterator[list[int]]:
    """Yield the strongly connected components, each after all components that it leads to (Tarjan 1972).

    `path` is the stack of the recursion, `open_nodes` the paper's stack of nodes without a component, `index` and
    `link` its NUMBER and LOWLINK. A component is complete where the lowlink of its first node is the node's own
    number.
    """
    target, after = graph.target, graph.after
    cursor = graph.head.copy()  # the next edge of each node: where the recursion goes on
    size = len(cursor)
    done = size + 1  # more than any index, so that a finished component never lowers a link
    index, link = [0] * size, [0] * size
    visited = 0
    path: list[int] = []
    open_nodes: list[int] = []
    for root in range(size):
        if index[root]:
            continue
        visited += 1
        index[root] = link[root] = visited
        path.append(root)
        open_nodes.append(root)
        while path:
            node = path[-1]
            edge, follower = cursor[node], -1
            while edge >= 0:
                follower = target[edge]
                edge = after[edge]
                if not index[follower]:
                    break  # a new node: visit it first, then go on with the next edge
                if link[follower] < link[node]:  # noqa: PLR1730 (a call of min() for each edge is slow)
                    link[node] = link[follower]
            else:
                # All edges are done. What recursion does on return: the predecessor on the path inherits the lowlink.
                path.pop()
                if path and link[node] < link[path[-1]]:
                    link[path[-1]] = link[node]
                if link[node] == index[node]:
                    yield _pop_component(node, open_nodes, link, done)
                continue
            cursor[node] = edge
            visited += 1
            index[follower] = link[follower] = visited
            path.append(follower)
            open_nodes.append(follower)


def _pop_component(node: int, open_nodes: list[int], link: list[int], done: int) -> list[int]:
    """Take the component of `node` from the stack, and mark its nodes as done: an edge to them lowers no link any more."""
    component = []
    while True:
        member = open_nodes.pop()
        link[member] = done
        component.append(member)
        if member == node:
            return component


def cyclic_components(graph: Graph) -> list[list[int]]:
    """Return the components with a cycle, those of at least two nodes: no node has an edge to itself here."""
    return [component for component in components(graph) if len(component) > 1]


def shortest_path(graph: Graph, start: int, goal: int, limit: int | None = None) -> list[tuple[int, int]] | None:
    """Return a shortest path as (node, edge out of it) for each node; from a node to itself it is a cycle.

    `FREE` edges have length 0, all others 1. None if there is no path, or none of at most `limit`.
    """
    came: dict[int, tuple[int, int]] = {}
    frontier, length = [start], 0
    while frontier and goal not in came:
        # The list grows in this loop: the target of a free edge is at the same distance (0-1 breadth-first search).
        for node in frontier:
            frontier.extend(_reach(graph, node, came, free=True))
        length += 1
        if limit is not None and length > limit:
            break
        frontier = [target for node in frontier for target in _reach(graph, node, came, free=False)]
    return _trace(came, start, goal) if goal in came else None


def _reach(graph: Graph, node: int, came: dict[int, tuple[int, int]], *, free: bool) -> Iterator[int]:
    """Yield the new nodes one edge from `node`, over free edges or over the others, and note the edge in `came`."""
    for edge in graph.out(node):
        target = graph.target[edge]
        if target not in came and (graph.label[edge] == FREE) == free:
            came[target] = (node, edge)
            yield target


def _trace(came: dict[int, tuple[int, int]], start: int, goal: int) -> list[tuple[int, int]]:
    """Return the path from `start` to `goal`. `start` itself may be in `came`: then the path is a cycle."""
    path = [came[goal]]
    while path[-1][0] != start:
        path.append(came[path[-1][0]])
    return path[::-1]


class Cycle(NamedTuple):
    """A cycle: `nodes[i]` leads to `nodes[i+1]`, the last to the first, by an edge labelled `labels[i]`."""

    nodes: tuple[int, ...]
    labels: tuple[int, ...]


def shortest_cycle(part: Part) -> Cycle | None:
    """Return a shortest cycle of the part, named as in the whole graph and without auxiliary nodes, or None.

    Exact while nodes times edges of a component stay below `EFFORT`; in a larger one as many start nodes are
    tried as the bound allows, at least one.
    """
    best: Cycle | None = None
    for members in cyclic_components(part.graph):
        inner = part.within(members)
        tries = _tries(inner.graph)
        for start in range(0, len(members), max(1, len(members) // tries)):
            # Only a shorter cycle is of use, so the length so far bounds the next search: most end after a step or two.
            path = shortest_path(inner.graph, start, start, len(best.nodes) - 1 if best else None)
            if path:
                best = Cycle(*_steps(inner, path))
    return best


def shortest_cycle_with_one(part: Part, label: int) -> Cycle | None:
    """Return a shortest cycle of the part with exactly one edge of `label`, or None if there is none.

    Without these edges the part must be acyclic: then every edge source -> target with a path target -> source closes
    such a cycle, and no other does. The existence is exact, the length as in `shortest_cycle`.
    """
    graph, nodes = part.graph, range(len(part.graph.head))
    rest = part.within(nodes, set(graph.label) - {label})
    edges = [(node, graph.target[edge]) for node in nodes for edge in graph.out(node) if graph.label[edge] == label]
    best: Cycle | None = None
    for source, target in islice(_closing(rest.graph, edges), _tries(graph)):
        path = shortest_path(rest.graph, target, source, len(best.nodes) - 2 if best else None)
        if path:
            between, labels = _steps(rest, path)
            best = Cycle((part.names[source], *between), (label, *labels))
    return best


def _closing(graph: Graph, edges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the edges source -> target for which the acyclic graph has a path target -> source.

    Reachability by bit sets: one pass over the graph finds, of up to 4096 sources, those that each node reaches. A
    search for each edge alone would be quadratic. `components` yields a node after all nodes that it leads to, the
    order that the pass needs.
    """
    order = [component[0] for component in components(graph)]
    sources = sorted({source for source, _ in edges})
    # The bit sets of all nodes together stay below 32 MiB, up to four million nodes.
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
    """Return the number of searches, each over all edges, within `EFFORT`."""
    return max(1, EFFORT // max(1, len(graph.target)))


def _steps(part: Part, path: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the nodes and labels of a path without free edges, which alone leave auxiliary nodes."""
    taken = [(part.names[node], part.graph.label[edge]) for node, edge in path if part.graph.label[edge] != FREE]
    return tuple(node for node, _ in taken), tuple(label for _, label in taken)
