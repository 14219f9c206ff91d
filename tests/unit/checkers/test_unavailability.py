"""The spans in which nodes and services were unavailable."""

import pytest

from harness.checkers.nodes import NOTICED_NS
from harness.checkers.unavailability import Unavailability, united
from harness.history import Event
from tests.checkers.history_builder import MS

NODES = ("order-1", "order-2", "stock-1", "order-store", "stock-store", "gateway")


@pytest.fixture
def nodes(run):
    """A run in which all nodes run from the begin on."""
    for name in NODES:
        run.event("node", at=0, name=name, state="running", pid=1)
    return run


def fault(run, kind, *aimed, begin=1000, end=2000):
    run.event("fault-start", at=begin, fault=kind, target="t", aimed=list(aimed), down=[])
    run.event("fault-end", at=end, fault=kind, target="t")


def unavailable(run, at_ms):
    return Unavailability(run.history()).unavailable_nodes(round(at_ms * MS))


@pytest.mark.parametrize(
    ("spans", "union"),
    [
        ([], []),
        ([(2, 3), (0, 1)], [(0, 1), (2, 3)]),
        ([(0, 2), (2, 3)], [(0, 3)]),
        ([(0, 2), (1, 3)], [(0, 3)]),
        ([(0, 9), (1, 3)], [(0, 9)]),
        ([(0, 2), (1, 3), (3, 4), (6, 7)], [(0, 4), (6, 7)]),
    ],
)
def test_spans_that_meet_are_united(spans, union):
    assert united(spans) == union


@pytest.mark.parametrize(
    ("aimed", "silent"),
    [
        (["order-1"], ["order-1"]),
        (["order-1->stock-1"], ["order-1", "stock-1"]),
        (["order-1->order-store"], ["order-1"]),
        (["gateway->order-2"], ["order-2"]),
        (["gateway->order-store"], ["gateway", "order-store"]),
        (["order-1->order-2", "order-2->order-1"], ["order-1", "order-2"]),
        ([], [""]),
    ],
)
def test_a_cut_link_silences_its_instances(nodes, aimed, silent):
    fault(nodes, "partition", *aimed)
    assert unavailable(nodes, 1500) == silent


@pytest.mark.parametrize(("at_ms", "down"), [(999, False), (1000, True), (1999, True), (2000, False)])
@pytest.mark.parametrize("kind", ["crash", "pause"])
def test_a_fault_lasts_from_its_begin_to_before_its_end(nodes, kind, at_ms, down):
    fault(nodes, kind, "order-1")
    assert unavailable(nodes, at_ms) == ["order-1"] * down


def test_a_fault_without_unavailable_nodes_changes_nothing(nodes):
    fault(nodes, "skew", "order-1")
    assert unavailable(nodes, 1500) == []


@pytest.mark.parametrize("state", ["down", "paused"])
def test_a_recorded_state_began_up_to_one_poll_earlier(nodes, state):
    nodes.event("node", at=1000, name="order-1", state=state, pid=1)
    nodes.event("node", at=2000, name="order-1", state="running", pid=2)
    begin = 1000 - NOTICED_NS // MS
    assert [bool(unavailable(nodes, at_ms)) for at_ms in (begin - 1, begin, 1999, 2000)] == [False, True, True, False]
    assert Unavailability(nodes.history()).is_fully_available("order", 1500 * MS) is (state == "down")


@pytest.mark.parametrize(
    ("kind", "aimed", "available", "fully"),
    [
        ("crash", ["order-1"], True, True),
        ("pause", ["order-1"], True, False),
        ("crash", ["order-1", "order-2"], False, False),
        ("crash", ["order-store"], False, False),
        ("crash", ["gateway"], False, False),
        ("crash", ["stock-store", "stock-1"], True, True),
        ("partition", [], False, False),
    ],
)
def test_a_service_needs_an_instance_and_its_store(nodes, kind, aimed, available, fully):
    fault(nodes, kind, *aimed)
    unavailability = Unavailability(nodes.history())
    assert unavailability.is_available("order", 1500 * MS) == available
    assert unavailability.is_fully_available("order", 1500 * MS) == fully
    assert unavailability.is_fully_available("order", 2500 * MS)


def test_the_parts_of_a_span_begin_at_changes_within_it(nodes):
    fault(nodes, "pause", "order-1", begin=1000, end=2000)
    fault(nodes, "crash", "order-2", begin=1500, end=3000)
    parts = Unavailability(nodes.history()).parts
    assert list(parts((1000, 5000 * MS))) == [
        (1000, 1000 * MS),
        (1000 * MS, 1500 * MS),
        (1500 * MS, 2000 * MS),
        (2000 * MS, 3000 * MS),
        (3000 * MS, 5000 * MS),
    ]
    assert list(parts((1000 * MS, 1500 * MS))) == [(1000 * MS, 1500 * MS)]
    assert list(parts((1000 * MS, 1000 * MS))) == []


@pytest.mark.parametrize(
    ("aimed", "available"), [(["gateway-1"], True), (["gateway-2"], True), (["gateway-1", "gateway-2"], False)]
)
def test_one_of_two_gateways_is_enough(run, aimed, available):
    for name in ("order-1", "order-store", "gateway-1", "gateway-2"):
        kind = {"order-1": "service", "order-store": "store"}.get(name, "gateway")
        service = "order" if kind == "service" else ""
        data = {"name": name, "state": "running", "pid": 1, "kind": kind, "service": service}
        run.events.append(Event("node", 0, data))
    fault(run, "crash", *aimed)
    assert Unavailability(run.history()).is_available("order", 1500 * MS) == available


@pytest.mark.parametrize(
    ("aimed", "available"),
    [
        (["order-store-1"], True),
        (["elector"], True),
        (["stock-store-1", "stock-store-2"], True),
        (["order-store-1", "order-store-3"], False),
        (["order-store-1", "elector"], False),
    ],
)
def test_a_store_with_copies_serves_without_one_of_them_or_without_the_elector(run, aimed, available):
    servers = [f"{service}-store-{number}" for service in ("order", "stock") for number in (1, 2, 3)]
    for name in ("order-1", "stock-1", *servers, "elector"):
        kind = "service" if name in ("order-1", "stock-1") else "elector" if name == "elector" else "store"
        data = {"name": name, "state": "running", "pid": 1, "kind": kind, "service": name.partition("-")[0]}
        run.events.append(Event("node", 0, data))
    fault(run, "crash", *aimed)
    assert Unavailability(run.history()).is_available("order", 1500 * MS) == available


@pytest.mark.parametrize(
    ("electors", "aimed", "available"),
    [
        ("sentinel-1 sentinel-2 sentinel-3", ["order-store-1"], True),
        ("sentinel-1 sentinel-2 sentinel-3", ["order-store-1", "sentinel-2"], True),
        ("sentinel-1 sentinel-2 sentinel-3", ["order-store-1", "sentinel-2", "sentinel-3"], False),
        ("sentinel-1 sentinel-2 sentinel-3", ["sentinel-1", "sentinel-2", "sentinel-3"], True),
        ("voter-1 voter-2", ["order-store-1"], True),
        ("voter-1 voter-2", ["voter-2"], True),
        ("voter-1 voter-2", ["order-store-1", "voter-2"], False),
    ],
)
def test_most_electors_of_a_manager_replace_a_server(run, electors, aimed, available):
    servers = [f"order-store-{number}" for number in (1, 2, 3)]
    for name in ("order-1", *servers, *electors.split()):
        kind = "service" if name == "order-1" else "store" if name in servers else "elector"
        data = {
            "name": name,
            "state": "running",
            "pid": 1,
            "kind": kind,
            "service": "order" if kind != "elector" else "",
        }
        run.events.append(Event("node", 0, data))
    fault(run, "crash", *aimed)
    assert Unavailability(run.history()).is_available("order", 1500 * MS) == available


@pytest.mark.parametrize(
    ("aimed", "available"), [(["broker-1"], True), (["broker-3"], True), (["broker-1", "broker-3"], False)]
)
def test_two_of_three_nodes_of_a_broker_are_enough(run, aimed, available):
    for name in ("order-1", "order-store", "broker-1", "broker-2", "broker-3"):
        kind = {"order-1": "service", "order-store": "store"}.get(name, "broker")
        service = "order" if kind == "service" else ""
        run.events.append(
            Event("node", 0, {"name": name, "state": "running", "pid": 1, "kind": kind, "service": service})
        )
    fault(run, "crash", *aimed)
    assert Unavailability(run.history()).is_available("order", 1500 * MS) == available
