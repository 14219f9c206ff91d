"""Each anomaly by name: a history that has it, and one that just does not."""

import pytest

from harness.checkers.anomalies import find_anomalies
from harness.checkers.claims import FIRST_EXCLUDED_BY
from harness.checkers.dependencies import RW, WR
from tests.unit.checkers.tiny_histories import T, history


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


def test_an_intermediate_read_counts_as_one_before_its_writer():
    assert names(T(x=(1, 2)), T(X=1), T(X=3)) == {"G1b"}
    assert names(T(x=(1, 2)), T(X=1), T(X=3), T(x=4), T(X=7)) == {"G1b"}
    assert names(T(x=(1, 2)), T(X=5), T(X=3), T(x=4)) == {"G1b", "incompatible-reads"}


def test_an_unknown_transaction_that_was_seen_is_committed():
    seen = [T(x=1, y=1, status="unknown", at=(0, None)), T(X=1), T(Y=0, at=FIRST), T(Y=0, at=(200, 300))]
    assert names(*seen, T(X=1, at=(101, 102))) == {"G-single-realtime"}
    assert names(seen[0], seen[2], seen[3]) == set()


def test_an_unknown_transaction_may_take_effect_at_any_later_time():
    assert names(T(x=1, status="unknown", at=(0, None)), T(X=0, at=(50, 60)), T(X=1, at=(70, 80))) == set()


def test_a_stale_read_does_not_make_an_update_lost_that_others_saw():
    assert names(T(x=1, at=FIRST), T(X=1, at=THEN), T(X=0, at=LATER)) == {"G-single-realtime"}


def test_each_update_that_missed_another_is_reported():
    found = find_anomalies(history(T(X=0, x=1), T(X=0, x=2), T(X=2, x=4)))
    assert [anomaly.txns for anomaly in found if anomaly.name == "lost-update"] == [(0, 1), (0, 2)]


def test_the_cycle_is_the_shortest_and_each_edge_has_its_kind():
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


def test_each_cyclic_component_is_reported_once():
    knots = [
        txn for name in "abc" for txn in (T(**{name: 1, name * 2: 1}), T(**{name.upper(): 1, name.upper() * 2: 0}))
    ]
    found = [anomaly for anomaly in find_anomalies(history(*knots)) if anomaly.kinds]
    assert sorted(sorted(anomaly.txns) for anomaly in found) == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("txns", [[T(x=3)], [T(x=1), T(x=1)], [T(x=0)], [T(X=-1)]])
def test_what_are_no_sets_is_refused(txns):
    with pytest.raises(ValueError, match="of x"):
        find_anomalies(history(*txns))
