"""Each anomaly by name: a history that has it, and one that just does not; then brute force.

Histories here are written as `T(...)` in the order of their numbers. `x=1` adds element 1 to key x; `X=3`
reads elements 1 and 2 of it. Unless times are given, all of them overlap and each has its own process.
"""

from itertools import chain, combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checkers.anomalies import find_anomalies
from harness.checkers.claims import FIRST_EXCLUDED_BY
from harness.checkers.dependencies import RW, WR, WW, dense, sparse
from harness.checkers.graph import FREE, cyclic_components
from harness.checkers.transactions import NO_SESSION, Txn
from harness.checkers.versions import Versions


class T:
    """A transaction to be: lower case adds, upper case reads; a tuple of several."""

    def __init__(self, *, status="committed", at=(0, 100), process=NO_SESSION, **effects):
        self.status, self.at, self.process, self.effects = status, at, process, effects

    def txn(self, number):
        adds, reads = [], []
        for name, values in self.effects.items():
            into = adds if name.islower() else reads
            into += [(name.lower(), value) for value in (values if isinstance(values, tuple) else (values,))]
        return Txn(number, self.process, *self.at, self.status, tuple(adds), tuple(reads))


def history(*txns):
    return [txn.txn(number) for number, txn in enumerate(txns)]


def names(*txns):
    return {anomaly.name for anomaly in find_anomalies(history(*txns))}


FIRST, THEN, LATER = (0, 10), (20, 30), (40, 50)

CASES = {
    # name: (names of a history that has it, the history, and the same but for one thing)
    "G0": (
        {"G0"},
        [T(x=1, y=1), T(x=2, y=2), T(X=1), T(Y=2)],
        [T(x=1, y=1), T(x=2, y=2), T(X=1), T(Y=1)],
    ),
    "G1a": ({"G1a"}, [T(x=1, status="aborted"), T(X=1)], [T(x=1, status="aborted"), T(X=0)]),
    "G1b": ({"G1b"}, [T(x=(1, 2)), T(X=1)], [T(x=(1, 2)), T(X=3)]),
    "G1c": ({"G1c"}, [T(x=1, Y=1), T(y=1, X=1)], [T(x=1, Y=0), T(y=1, X=1)]),
    "garbage-read": ({"garbage-read"}, [T(x=1), T(X=5)], [T(x=1), T(x=4), T(X=5)]),
    "incompatible-reads": (
        {"incompatible-reads"},
        [T(x=1), T(x=2), T(X=1), T(X=2)],
        [T(x=1), T(x=2), T(X=1), T(X=3)],
    ),
    "lost-update": ({"lost-update", "G2-item"}, [T(x=1, X=0), T(x=2, X=0)], [T(x=1, X=0), T(x=2, X=1)]),
    "fractured-read": (
        {"fractured-read", "G-single"},
        [T(x=1, y=1), T(X=1, Y=0)],
        [T(x=1, y=1), T(X=1, Y=1)],
    ),
    "G-single": (
        {"G-single"},
        [T(x=1), T(X=1, y=1), T(Y=1, X=0)],
        [T(x=1), T(X=1, y=1), T(Y=0, X=0)],
    ),
    "G-nonadjacent": (  # the long fork
        {"G-nonadjacent"},
        [T(x=1), T(y=1), T(X=1, Y=0), T(X=0, Y=1)],
        [T(x=1), T(y=1), T(X=1, Y=0), T(X=1, Y=1)],
    ),
    "G2-item": (  # write skew
        {"G2-item"},
        [T(X=0, Y=0, x=1), T(X=0, Y=0, y=1)],
        [T(X=0, Y=0, x=1), T(X=1, Y=0, y=1)],
    ),
    "lost-update-realtime": (
        {"lost-update-realtime", "G-single-realtime"},
        [T(x=1, at=FIRST), T(x=2, at=FIRST), T(X=2, at=THEN)],
        [T(x=1, at=(0, 20)), T(x=2, at=FIRST), T(X=2, at=THEN)],
    ),
    "G0-process": (
        {"G0-process"},
        [T(x=1, process=1, at=FIRST), T(x=2, process=1, at=(10, 30)), T(X=2, at=(0, 100))],
        [T(x=1, process=1, at=FIRST), T(x=2, process=1, at=(9, 30)), T(X=2, at=(0, 100))],
    ),
    "G0-realtime": (
        {"G0-realtime"},
        [T(x=1, at=FIRST), T(x=2, at=(11, 30)), T(X=2, at=(0, 100))],
        [T(x=1, at=FIRST), T(x=2, at=(10, 30)), T(X=2, at=(0, 100))],
    ),
    "G1c-process": (
        {"G1c-process"},
        [T(X=1, process=1, at=FIRST), T(x=1, process=1, at=THEN)],
        [T(X=0, process=1, at=FIRST), T(x=1, process=1, at=THEN)],
    ),
    "G1c-realtime": (
        {"G1c-realtime"},
        [T(X=1, at=FIRST), T(x=1, at=THEN)],
        [T(X=1, at=FIRST), T(x=1, at=(10, 30))],
    ),
    "G-single-process": (
        {"G-single-process"},
        [T(x=1), T(X=1, process=1, at=FIRST), T(X=0, process=1, at=THEN)],
        [T(x=1), T(X=1, process=1, at=FIRST), T(X=0, process=2, at=(10, 30))],
    ),
    "G-single-realtime": (
        {"G-single-realtime"},
        [T(x=1, at=FIRST), T(X=0, at=THEN), T(X=1, at=LATER)],
        [T(x=1, at=FIRST), T(X=0, at=(10, 30)), T(X=1, at=LATER)],
    ),
    "G2-item-process": (
        {"G2-item-process"},
        [
            T(x=1),
            T(y=1),
            T(X=1, process=1, at=FIRST),
            T(Y=0, process=1, at=THEN),
            T(Y=1, process=2, at=FIRST),
            T(X=0, process=2, at=THEN),
        ],
        [
            T(x=1),
            T(y=1),
            T(X=1, process=1, at=FIRST),
            T(Y=0, process=1, at=THEN),
            T(X=0, process=2, at=FIRST),
            T(Y=1, process=2, at=THEN),
        ],
    ),
    "G2-item-realtime": (
        {"G2-item-realtime"},
        [T(x=1, at=FIRST), T(X=0, y=1), T(Y=0, at=(11, 30))],
        [T(x=1, at=FIRST), T(X=0, y=1), T(Y=0, at=(10, 30))],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_history_that_has_it(name):
    expected, guilty, _ = CASES[name]
    assert name in expected
    assert names(*guilty) == expected


@pytest.mark.parametrize("name", CASES)
def test_a_history_that_just_does_not(name):
    _, _, innocent = CASES[name]
    assert names(*innocent) == set()


def test_every_name_has_its_case_and_its_level():
    assert set(CASES) == set(FIRST_EXCLUDED_BY)


def test_an_unknown_transaction_that_was_seen_is_committed():
    seen = [T(x=1, y=1, status="unknown", at=(0, None)), T(X=1), T(Y=0, at=FIRST), T(Y=0, at=(200, 300))]
    assert names(*seen, T(X=1, at=(101, 102))) == {"G-single-realtime"}
    assert names(seen[0], seen[2], seen[3]) == set()


def test_an_unknown_transaction_may_take_effect_at_any_later_time():
    assert names(T(x=1, status="unknown", at=(0, None)), T(X=0, at=(50, 60)), T(X=1, at=(70, 80))) == set()


def test_a_stale_read_does_not_make_an_update_lost_that_others_saw():
    assert names(T(x=1, at=FIRST), T(X=1, at=THEN), T(X=0, at=LATER)) == {"G-single-realtime"}


def test_each_update_that_missed_another_is_told():
    found = find_anomalies(history(T(X=0, x=1), T(X=0, x=2), T(X=2, x=4)))
    assert [anomaly.txns for anomaly in found if anomaly.name == "lost-update"] == [(0, 1), (0, 2)]


def test_the_cycle_is_the_shortest_and_says_what_each_step_is():
    long_way = [T(x=1), T(X=1, y=1), T(Y=1, z=1), T(Z=1, X=0)]
    (anomaly,) = find_anomalies(history(*long_way))
    assert anomaly.txns == (3, 0, 1, 2)
    assert anomaly.kinds == (RW, WR, WR, WR)
    shorter = [*long_way[:3], T(Z=1, Y=1, X=0)]
    (anomaly,) = find_anomalies(history(*shorter))
    assert anomaly.txns == (3, 0, 1)


FAR = 30
BETWEEN = [T(x=1 << n) for n in range(1, FAR)] + [T(X=(1 << n) - 1) for n in range(1, FAR)]


@pytest.mark.parametrize(
    ("ends", "name", "steps"),
    [
        ([T(x=1, Z=1), T(X=(1 << FAR) - 1, Y=0), T(y=1, z=1)], "G-single", 3),
        ([T(x=1, Z=1), T(x=1 << FAR, z=1), T(X=(1 << FAR) - 1)], "G1c", 2),
        ([T(x=1), T(X=0, Z=1), T(x=1 << FAR, z=1), T(X=(2 << FAR) - 1)], "G-single", 2),
        ([T(x=1), T(X=0, Z=1, x=2 << FAR), T(x=1 << FAR, z=1), T(X=(4 << FAR) - 1)], "G-single", 2),
    ],
    ids=["WR", "WW", "RW", "RW of a writer"],
)
def test_what_happened_many_versions_ago_is_one_step_away(ends, name, steps):
    (anomaly,) = [anomaly for anomaly in find_anomalies(history(*ends, *BETWEEN)) if anomaly.kinds]
    assert anomaly.name == name
    assert len(anomaly.txns) == steps


def test_what_a_client_did_long_ago_is_one_step_away():
    did = [T(Z=0, process=1, at=(20 + 2 * n, 21 + 2 * n)) for n in range(9)]
    (anomaly,) = find_anomalies(history(T(x=1), T(X=1, process=1, at=FIRST), *did, T(X=0, process=1, at=LATER)))
    assert (anomaly.name, len(anomaly.txns)) == ("G-single-process", 3)


def test_each_knot_is_told_once():
    knots = [
        txn for name in "abc" for txn in (T(**{name: 1, name * 2: 1}), T(**{name.upper(): 1, name.upper() * 2: 0}))
    ]
    found = [anomaly for anomaly in find_anomalies(history(*knots)) if anomaly.kinds]
    assert sorted(sorted(anomaly.txns) for anomaly in found) == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("txns", [[T(x=3)], [T(x=1), T(x=1)], [T(x=0)], [T(X=-1)]])
def test_what_are_no_sets_is_refused(txns):
    with pytest.raises(ValueError, match="of x"):
        find_anomalies(history(*txns))


KEYS = ("x", "y")


@st.composite
def histories(draw):
    """Up to 6 transactions on 2 keys, in real time and in sessions; what they read is mostly possible."""
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
    """A process does one thing at a time: what overlaps another of its process belongs to no session."""
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
    for some in chain.from_iterable(combinations(unsure, n) for n in range(len(unsure) + 1)):
        yield from permutations([*sure, *some])


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
