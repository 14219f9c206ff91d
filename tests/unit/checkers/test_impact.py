"""Which faults happened and met anything; that faults in vain prove nothing."""

import pytest

from harness.checkers import Verdict
from harness.checkers.impact import impacts, ineffective_faults
from harness.checkers.nodes import Nodes
from harness.checkers.verdict import examine
from harness.run.scenarios import Recurring


def node(run, at, name, state, pid=1, kind="service"):
    run.event("node", at=at, name=name, state=state, pid=pid, **{"kind": kind} if kind != "service" else {})


def fault(run, kind, *aimed, at=1000, until=2000, down=(), **more):
    run.event("fault-start", at=at, fault=kind, target="t", aimed=list(aimed), down=list(down), **more)
    run.event("fault-end", at=until, fault=kind, target="t")


@pytest.mark.parametrize(
    ("kind", "aimed", "down", "why"),
    [
        ("crash", ("order-1",), (), ""),
        ("crash", ("order-1", "order-2"), ("order-1",), ""),
        ("crash", ("order-1",), ("order-1",), "order-1 was down"),
        ("pause", ("order-1",), ("order-1",), "order-1 was down"),
        ("lost-tail", ("stock-store",), ("stock-store",), ""),
        ("skew", ("order-1",), ("order-1",), "order-1 was down"),
        ("partition", ("order-1->stock-1",), (), "order-1->stock-1 was down"),
        ("partition", ("order-2->stock-1", "order-1->stock-1"), (), ""),
    ],
)
def test_a_fault_without_a_reached_target_has_not_happened(run, kind, aimed, down, why):
    node(run, 0, "order-1", "down", pid=None)
    node(run, 0, "order-2", "running")
    node(run, 0, "stock-1", "running")
    run.op("checkout", "1", at=(900, 1100))
    fault(run, kind, *aimed, down=down)
    (found,) = impacts(run.history())
    assert found.why_not == why
    assert found.met == (0 if why else 1)


@pytest.mark.parametrize(("up_at", "why"), [(1500, ""), (2000, ""), (2001, "order-1 was down")])
def test_what_comes_up_while_a_fault_lasts_is_reached(run, up_at, why):
    node(run, 0, "order-1", "down", pid=None)
    node(run, up_at, "order-1", "running", pid=2)
    fault(run, "skew", "order-1", down=["order-1"])
    assert impacts(run.history())[0].why_not == why


@pytest.mark.parametrize(
    ("deaths", "killed_at", "happened"),
    [
        ([], None, False),
        ([("order-1", 1500)], None, True),
        ([("order-1", 1500)], 1450, False),  # that was another fault's
        ([("order-1", 1500)], 100, True),
        ([("stock-1", 1500), ("order-1", 900), ("order-1", 2900)], None, False),
    ],
)
def test_a_failpoint_is_passed_if_a_process_dies_there(run, deaths, killed_at, happened):
    for name in ("order-1", "stock-1"):
        node(run, 0, name, "running")
    for name, at in deaths:
        node(run, at, name, "down", pid=None)
        node(run, at + 50, name, "running", pid=at)
    run.op("checkout", "1", at=(1400, 1600))
    if killed_at is not None:
        fault(run, "crash", "order-1", at=killed_at, until=killed_at + 1)
    fault(run, "crash-at", "order-1", said="armed in order-1: order:after-do:open", settings={"failpoint": ""})
    found = next(each for each in impacts(run.history()) if each.fault == "crash-at")
    assert (not found.why_not, found.met) == (happened, int(happened))
    assert found.why_not in ("", "no process passed order:after-do:open")


def test_a_node_of_an_old_history_is_an_instance_if_its_name_ends_with_a_number(run):
    for name in ("order-1", "order-2", "stock-1", "order-store", "gateway", "7"):
        run.event("node", at=0, name=name, state="running", pid=1)
    nodes = run.history().derive(Nodes)
    assert nodes.instances() == {"order": ["order-1", "order-2"], "stock": ["stock-1"]}
    assert nodes.others() == ["order-store", "gateway", "7"]


def test_a_death_between_two_looks_is_one(run):
    node(run, 0, "order-1", "running", pid=1)
    node(run, 100, "order-1", "running", pid=2)
    assert [death.node for death in run.history().derive(Nodes).deaths] == ["order-1"]


def test_a_crash_lasts_until_its_node_runs_again(run):
    node(run, 0, "order-1", "running")
    node(run, 1100, "order-1", "down", pid=None)
    node(run, 3000, "order-1", "running", pid=2)
    run.op("checkout", "1", at=(2000, 2100))
    run.op("checkout", "2", at=(5000, 5100))
    fault(run, "crash", "order-1", until=9000)
    assert impacts(run.history())[0].met == 1


@pytest.mark.parametrize(
    ("begin", "reason"),
    [
        (lambda _run: None, ""),
        (lambda run: fault(run, "crash", "order-1"), ""),
        (
            lambda run: fault(run, "crash", "order-1", down=["order-1"]),
            "none of the 1 faults happened: order-1 was down",
        ),
        (
            lambda run: fault(run, "pause", "order-1", at=10**6, until=10**6 + 1),
            "none of the 1 faults that happened met",
        ),
        (lambda run: run.event("fault-refused", fault="crash", why="late"), "none of the 1 faults was injected: late"),
    ],
)
def test_faults_in_vain_prove_nothing(run, begin, reason):
    run.op("checkout", "1", at=(900, 1100))
    begin(run)
    assert ineffective_faults(run.history()).startswith(reason)
    assert bool(ineffective_faults(run.history())) == bool(reason)


def test_a_history_without_the_planned_faults_is_unknown(checkout_run):
    recorded = checkout_run().history()
    recorded.header.config.update(workload={}, must_hold=[], faults=[])
    assert examine(recorded).verdict == Verdict.HOLDS
    recorded.header.config["faults"] = [{"kind": "crash", "target": ["order"]}]
    judgement = examine(recorded)
    assert judgement.verdict == Verdict.UNKNOWN
    assert judgement.reasons[0].endswith("the history has no event of any crash")


def test_a_fault_for_the_broker_alone_has_no_target_without_one():
    only = Recurring("crash", ("broker?",), (1.0, 1.0), (1.0, 1.0), None, {})
    assert only.resolve(()) is None
    assert only.resolve(["broker"]).targets == ("broker",)
    assert only.resolve(["broker-1", "broker-2"]).targets == ("broker-1", "broker-2")
