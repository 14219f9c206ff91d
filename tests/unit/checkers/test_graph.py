"""Tarjan, shortest paths and cycles against brute force on small graphs."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checkers.graph import (
    FREE,
    Graph,
    Part,
    components,
    cyclic_components,
    shortest_cycle,
    shortest_cycle_with_one,
    shortest_path,
)

SIZE = 7
INFINITE = 10**6
edges_of = st.lists(
    st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1), st.integers(1, 2)).filter(lambda e: e[0] != e[1]),
    max_size=14,
)


def graph_of(edges, size=SIZE):
    graph = Graph(size)
    for edge in edges:
        graph.edge(*edge)
    return graph


def whole(graph):
    return Part(graph, range(len(graph.head)))


def distances(edges, size=SIZE):
    """Floyd and Warshall; free edges cost nothing, and a path has at least one edge."""
    far = [[INFINITE] * size for _ in range(size)]
    for source, target, label in edges:
        far[source][target] = min(far[source][target], 0 if label == FREE else 1)
    for middle in range(size):
        for source in range(size):
            for target in range(size):
                far[source][target] = min(far[source][target], far[source][middle] + far[middle][target])
    return far


@settings(deadline=None)
@given(edges_of)
def test_tarjan_finds_nodes_that_reach_each_other(edges):
    far = distances(edges)
    found = list(components(graph_of(edges)))
    assert sorted(node for component in found for node in component) == list(range(SIZE))
    home = {node: number for number, component in enumerate(found) for node in component}
    for a in range(SIZE):
        for b in range(SIZE):
            together = a == b or (far[a][b] < INFINITE and far[b][a] < INFINITE)
            assert (home[a] == home[b]) == together
            if far[a][b] < INFINITE:
                assert home[b] <= home[a], "a component comes after those that it leads to"


def test_tarjan_needs_no_recursion():
    size = 50_000
    path = [(node, node + 1, 1) for node in range(size - 1)]
    assert cyclic_components(graph_of(path, size)) == []
    (component,) = cyclic_components(graph_of([*path, (size - 1, 0, 1)], size))
    assert len(component) == size


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 1)), max_size=14))
def test_shortest_path_counts_all_but_free_edges(edges):
    edges = [edge for edge in edges if edge[0] != edge[1]]
    graph, far = graph_of(edges), distances(edges)
    for start in range(SIZE):
        for goal in range(SIZE):
            path = shortest_path(graph, start, goal)
            if path is None:
                assert far[start][goal] == INFINITE
                continue
            assert sum(graph.label[edge] != FREE for _, edge in path) == far[start][goal]
            steps = [(node, graph.target[edge]) for node, edge in path]
            assert steps[0][0] == start
            assert steps[-1][1] == goal
            assert all(here[1] == there[0] for here, there in pairwise(steps))
            assert all(edge in list(graph.out(node)) for node, edge in path)
            assert shortest_path(graph, start, goal, far[start][goal]) is not None
            assert far[start][goal] == 0 or shortest_path(graph, start, goal, far[start][goal] - 1) is None


@settings(deadline=None)
@given(edges_of)
def test_the_shortest_cycle_is_the_shortest(edges):
    far = distances(edges)
    shortest = min(far[node][node] for node in range(SIZE))
    cycle = shortest_cycle(whole(graph_of(edges)))
    assert (cycle is None) == (shortest == INFINITE)
    if cycle:
        assert len(cycle.nodes) == shortest
        assert set(steps_of(cycle)) <= set(edges)


@settings(deadline=None)
@given(edges_of)
def test_a_cycle_with_exactly_one_edge_of_a_label(edges):
    plain = [(s, t, n) for s, t, n in edges if n == 1 and s < t]  # without a cycle, as the function requires
    special = [(s, t, n) for s, t, n in edges if n == 2]
    far = distances(plain)
    shortest = min((1 + far[t][s] for s, t, _ in special), default=INFINITE)
    cycle = shortest_cycle_with_one(whole(graph_of([*plain, *special])), 2)
    assert (cycle is None) == (shortest >= INFINITE)
    if cycle:
        assert len(cycle.nodes) == shortest
        assert cycle.labels.count(2) == 1
        assert set(steps_of(cycle)) <= {*plain, *special}


def test_a_shorter_cycle_is_taken_when_it_is_found_later():
    edges = [(1, 2, 1), (2, 3, 1), (3, 1, 2), (4, 5, 1), (5, 4, 2)]
    assert len(shortest_cycle_with_one(whole(graph_of(edges)), 2).nodes) == 2
    assert len(shortest_cycle(whole(graph_of(edges))).nodes) == 2


def test_a_bound_on_the_effort_never_hides_a_cycle(monkeypatch):
    """The searches are for edges that close a cycle, so edges that close none use no part of the bound."""
    monkeypatch.setattr("harness.checkers.graph.EFFORT", 1)
    alone = [(0, node, 2) for node in range(1, 5)]
    cycle = shortest_cycle_with_one(whole(graph_of([*alone, (5, 6, 1), (6, 5, 2)])), 2)
    assert cycle is not None
    assert set(cycle.nodes) == {5, 6}


def steps_of(cycle):
    return list(zip(cycle.nodes, (*cycle.nodes[1:], cycle.nodes[0]), cycle.labels, strict=True))


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), unique=True), st.lists(st.integers(0, 9), unique=True))
def test_link_puts_each_source_before_each_other_target(sources, targets):
    graph = Graph(10)
    graph.link(sources, targets, 1)
    for source in range(10):
        reached = {t for t in range(10) if shortest_path(graph, source, t, 1)}
        beyond = set(targets) - {source} if source in sources else set()
        assert reached >= beyond
        if not set(sources) & set(targets):
            assert reached == beyond
            assert len(graph.target) <= max(len(sources) + len(targets), 0)
        assert source not in [graph.target[edge] for edge in graph.out(source)]
    assert bool(cyclic_components(graph)) == (len(set(sources) & set(targets)) > 1)


def test_a_link_from_or_to_a_single_node_needs_no_node_between():
    for sources, targets in (([0], [1, 2]), ([1, 2], [0]), ([0], [1])):
        graph = Graph(3)
        graph.link(sources, targets, 1)
        assert (len(graph.head), len(graph.target)) == (3, len(sources) * len(targets))


def test_a_part_keeps_its_names():
    graph = graph_of([(2, 4, 1), (4, 6, 2), (6, 2, 1), (0, 2, 1)])
    part = whole(graph).within([6, 4, 2])
    assert shortest_cycle(part) is not None
    assert set(shortest_cycle(part).nodes) == {2, 4, 6}
    assert shortest_cycle(part.within(range(3), {1})) is None
