"""Anomalies of small histories that Hypothesis draws, beside brute force: every serial order, every pair."""

from itertools import chain, combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checkers.anomalies import find_anomalies
from harness.checkers.dependencies import RW, WR, WW, dense, sparse
from harness.checkers.graph import FREE, cyclic_components
from harness.checkers.transactions import NO_SESSION, Txn
from harness.checkers.versions import Versions
from tests.unit.checkers.tiny_histories import T, history

KEYS = ("x", "y")


@st.composite
def histories(draw):
    """Up to 6 transactions on 2 keys, in real time and in sessions; their reads are mostly possible."""
    size = draw(st.integers(2, 6))
    given_out, adds = dict.fromkeys(KEYS, 0), []
    for _ in range(size):
        mine = [key for key in KEYS for _ in range(draw(st.sampled_from([0, 0, 1, 1, 1, 2]))) if given_out[key] < 3]
        adds.append(tuple((key, 1 << given_out[key] + n) for key in KEYS for n in range(mine.count(key))))
        for key in KEYS:
            given_out[key] += mine.count(key)
    order = draw(st.permutations(range(size)))
    state, reads = dict.fromkeys(KEYS, 0), {}
    wrong = draw(st.integers(0, 2 * size))
    for index in order:
        chosen = [key for key in KEYS if draw(st.booleans())]
        reads[index] = tuple((k, draw(st.integers(0, 7)) if wrong == index else state[k]) for k in chosen)
        for key, element in adds[index]:
            state[key] |= element
    txns = []
    for index in range(size):
        began = draw(st.integers(0, 3)) + 2 * order.index(index) * draw(st.integers(0, 1))
        status = draw(st.sampled_from(["committed"] * 6 + ["unknown", "aborted"]))
        ended = None if status == "unknown" else began + draw(st.integers(0, 3))
        txns.append(Txn(index, draw(st.integers(0, 2)), began, ended, status, adds[index], reads[index]))
    return in_sessions(txns)


def in_sessions(txns):
    """A process does one thing at a time: a transaction that overlaps another one of its process belongs to no session."""
    last, kept = {}, []
    for txn in sorted(txns, key=lambda txn: (txn.invoked_ns, txn.id)):
        free = last.get(txn.process, 0)
        process = txn.process if free is not None and free <= txn.invoked_ns else NO_SESSION
        if process != NO_SESSION:
            last[process] = txn.completed_ns
        kept.append(Txn(txn.id, process, txn.invoked_ns, txn.completed_ns, txn.status, txn.adds, txn.reads))
    return sorted(kept, key=lambda txn: txn.id)


def explained_by(order):
    """Do the reads follow from doing these one after the other? Reads come before adds."""
    state = dict.fromkeys(KEYS, 0)
    for txn in order:
        own = {key: sum(element for name, element in txn.adds if name == key) for key in KEYS}
        for key, read in txn.reads if txn.status == "committed" else ():
            if read & ~own[key] != state[key]:
                return False
        for key in KEYS:
            state[key] |= own[key]
    return True


def respects(order, before):
    return not any(before(later, earlier) for earlier, later in combinations(order, 2))


def in_time(earlier, later):
    return earlier.completed_ns is not None and earlier.completed_ns < later.invoked_ns


def in_session(earlier, later):
    same = earlier.process == later.process != NO_SESSION
    return same and (earlier.invoked_ns, earlier.id) < (later.invoked_ns, later.id)


def serial_orders(txns):
    sure = [txn for txn in txns if txn.status == "committed"]
    unsure = [txn for txn in txns if txn.status == "unknown"]
    for abbreviate in chain.from_iterable(combinations(unsure, n) for n in range(len(unsure) + 1)):
        yield from permutations([*sure, *abbreviate])


@settings(max_examples=500, deadline=None)
@given(histories())
@pytest.mark.slow
def test_the_verdict_is_that_of_trying_every_serial_order(txns):
    found = {anomaly.name for anomaly in find_anomalies(txns)}
    serial = [order for order in serial_orders(txns) if explained_by(order)]
    sessions = [order for order in serial if respects(order, in_session)]
    strict = [order for order in sessions if respects(order, in_time)]
    assert (not {name for name in found if not name.endswith(("-process", "-realtime"))}) == bool(serial), found
    assert (not {name for name in found if not name.endswith("-realtime")}) == bool(sessions), found
    assert (not found) == bool(strict), found


@settings(max_examples=200, deadline=None)
@given(histories())
def test_the_graph_of_all_pairs_and_the_short_one_have_the_same_knots(txns):
    versions = Versions(txns)
    members = [index for index, there in enumerate(versions.took_effect) if there]
    part = dense(versions, members)
    few = [{node for node in knot if node < len(txns)} for knot in cyclic_components(sparse(versions))]
    many = [{members[n] for n in knot if n < len(members)} for knot in cyclic_components(part.graph)]
    assert sorted(map(sorted, few)) == sorted(map(sorted, many))


@settings(max_examples=200, deadline=None)
@given(histories())
def test_every_step_of_a_cycle_is_a_dependency(txns):
    for anomaly in find_anomalies(txns):
        for before, after, kind in zip(anomaly.txns, (*anomaly.txns[1:], anomaly.txns[0]), anomaly.kinds, strict=False):
            first, then = txns[before], txns[after]
            assert kind != FREE
            if kind == WR:
                assert any(state & element for name, element in first.adds for key, state in then.reads if key == name)
            elif kind == RW:
                assert any(not s & element for name, element in then.adds for key, s in first.reads if key == name)
            elif kind == WW:
                assert {name for name, _ in first.adds} & {name for name, _ in then.adds}
            else:
                assert in_session(first, then) or in_time(first, then)


def test_pairs_are_not_what_makes_the_graph_large():
    readers = [T(X=0) for _ in range(2000)]
    writers = [T(x=1 << n) for n in range(50)]
    graph = sparse(Versions(history(*readers, *writers, T(X=(1 << 50) - 1))))
    assert len(graph.target) < 2 * (len(readers) + len(writers))
