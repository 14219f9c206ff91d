"""The kinds of faults as data: the rejection of invalid ones, before a run or an injection, and its message."""

from random import Random
from typing import Any

import pytest

from harness import faults
from harness.explore.failpoints import failpoints
from harness.faults import targets
from harness.runtimes.base import ORDERS, FaultOwnership, Node
from protocols.core import Config, Protocol
from protocols.errors import UsageError
from protocols.registry import load


class Paper:
    """A runtime of two workers a service, which has only names."""

    def __init__(self, *capabilities: str, foreign: tuple[str, ...] = ()) -> None:
        self.capabilities = frozenset(capabilities)
        self.holds = FaultOwnership()
        self._foreign = foreign

    def nodes(self) -> tuple[Node, ...]:
        services = [
            Node(f"{name}-{at}", "service", name, at, "http://x", "running")
            for name in ("order", "stock")
            for at in (1, 2)
        ]
        stores = [
            Node(f"{name}-store", "store", name, 9, "", "running", frozenset() if name in self._foreign else ORDERS)
            for name in ("order", "stock")
        ]
        return (*stores, *services, Node("gateway", "gateway", "", 8, "http://x", "running"))

    def links(self) -> tuple[tuple[str, str], ...]:
        names = ("order-1", "order-2", "stock-1", "stock-2")
        pairs = [(one, other) for one in names for other in names if one[:5] != other[:5]]
        return (*pairs, *((name, f"{name[:5]}-store") for name in names))

    def configured(self) -> tuple[Protocol, Config]:
        protocol = load("2pc")
        return protocol, protocol.configure()


class Copied(Paper):
    """The same runtime with three copies of each store. `replaced`: the store whose primary is not known now."""

    replaced = ""

    def nodes(self) -> tuple[Node, ...]:
        others = [node for node in super().nodes() if node.kind != "store"]
        stores = [
            Node(f"{service}-store-{at}", "store", service, at, "", "running")
            for service in ("order", "stock")
            for at in (1, 2, 3)
        ]
        return (*stores, *others, Node("elector", "elector", "", 7, "", "running"))

    def links(self) -> tuple[tuple[str, str], ...]:
        names = [node.name for node in self.nodes() if node.kind == "store"]
        return tuple((one, other) for one in ["elector", *names] for other in names if one != other)

    def primaries(self) -> dict[str, str]:
        known = {"order-store": "order-store-2", "stock-store": "stock-store-1"}
        return {name: primary for name, primary in known.items() if name != self.replaced}


ALL = (
    "signals",
    "links",
    "messages",
    "clock",
    "failpoints",
    "log-tail",
    "dead-letters",
    "disk",
    "copies",
    "electors",
    "drain",
)


def refusal(kind: str, *names: str, runtime: Paper | None = None, **settings: object) -> str | None:
    fault = faults.fault(kind, names or None, settings=settings)
    return faults.refuse(runtime or Paper(*ALL), fault)  # type: ignore[arg-type]


def test_every_kind_has_its_name_of_the_table_and_a_summary() -> None:
    assert list(faults.KINDS) == [
        *("crash", "crash-at", "restart", "pause", "partition", "delay", "loss"),
        *("slow", "lost-tail", "power-cut", "skew", "duplicate", "reorder"),
        *("poison", "disk-full", "slow-copy", "stale-primary", "empty-restart", "two-electors"),
    ]
    for name, kind in faults.KINDS.items():
        assert (kind.name, bool(kind.summary), bool(kind.needs)) == (name, True, True)
        copied = Copied(*ALL) if kind.needs & {"copies", "electors"} else None
        assert refusal(name, runtime=copied) is None, "its defaults can be injected where everything can"
        made = faults.fault(name)
        assert made.targets == kind.default
        assert set(made.settings) == {setting.name for setting in kind.settings}
        hash(made)


@pytest.mark.parametrize(
    ("kind", "more", "words"),
    [
        ("crush", {}, ["no fault 'crush'", "crash", "reorder"]),
        ("delay", {"settings": {"dellay": 1}}, ["delay has no setting 'dellay'", "delay_ms, jitter_ms"]),
        ("pause", {"settings": {"x": 1}}, ["pause has no setting 'x'", "none"]),
        ("loss", {"settings": {"probability": 1.5}}, ["loss: probability=1.5", "at least 0 and at most 1"]),
        ("loss", {"settings": {"probability": "often"}}, ["loss: probability='often'", "number"]),
        ("loss", {"settings": {"probability": float("nan")}}, ["probability=nan"]),
        ("loss", {"settings": {"probability": True}}, ["probability=True"]),
        ("partition", {"settings": {"heal": "never"}}, ["partition: heal='never'", "flow, reset"]),
        ("crash-at", {"settings": {"failpoint": 7}}, ["crash-at: failpoint=7", "text"]),
        ("crash-at", {"settings": {"passing": 1.5}}, ["crash-at: passing=1.5", "whole"]),
        ("crash", {"at_s": -1}, ["crash: at_s=-1"]),
        ("crash", {"for_s": float("nan")}, ["crash: for_s=nan"]),
        ("crash", {"at_s": float("inf")}, ["crash: at_s=inf", "finite"]),
        ("delay", {"settings": {"delay_ms": float("inf")}}, ["delay: delay_ms=inf"]),
        ("crash", {"targets": ()}, ["crash: an empty list of targets means nothing"]),
    ],
)
def test_invalid_values_are_rejected_by_name(kind: str, more: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        faults.fault(kind, **more)
    assert all(word in str(refused.value) for word in words), str(refused.value)


@pytest.mark.parametrize(
    ("kind", "target", "words"),
    [
        ("crash", "order-3", ["crash: no target 'order-3'", "order-1", "stock-store", "any-store"]),
        ("skew", "stock-store", ["skew: 'stock-store' is not a target", "for services"]),
        ("lost-tail", "order-1", ["lost-tail: 'order-1' is not a target", "for stores"]),
        ("lost-tail", "any-service", ["'any-service' is not a target"]),
        ("partition", "order-1<->order-2", ["no link 'order-1<->order-2'"]),
        ("partition", "stock->order-store", ["no link"]),
        ("delay", "order->cart", ["no target 'cart'"]),
        ("delay", "gateway", ["no link 'gateway'"]),
    ],
)
def test_a_target_that_does_not_exist_is_rejected_by_name(kind: str, target: str, words: list[str]) -> None:
    why = refusal(kind, target)
    assert why is not None
    assert all(word in why for word in words), why


@pytest.mark.parametrize("kind", faults.KINDS)
def test_the_error_names_the_capability_that_a_runtime_lacks(kind: str) -> None:
    why = refusal(kind, runtime=Paper())
    assert why is not None
    assert all(need in why for need in faults.KINDS[kind].needs)


@pytest.mark.parametrize("kind", ["crash", "pause", "lost-tail", "power-cut", "disk-full"])
def test_an_existing_server_of_the_user_is_left_alone(kind: str) -> None:
    why = refusal(kind, "stores", runtime=Paper(*ALL, foreign=("stock",)))
    assert why is not None
    assert "stock-store is a server outside of wdm" in why
    assert refusal(kind, "order-store", runtime=Paper(*ALL, foreign=("stock",))) is None


@pytest.mark.parametrize(
    ("names", "failpoint", "words"),
    [
        ((), "order:after-persist:comit", "no failpoint 'order:after-persist:comit'; there are: order:after-"),
        (("stock",), "order:after-persist:commit", "order:after-persist:commit is nowhere in stock"),
        (("any",), "order:after-persist:commit", "name the node instead"),
    ],
)
def test_a_failpoint_that_no_role_passes_is_rejected(names: tuple[str, ...], failpoint: str, words: str) -> None:
    assert words in (refusal("crash-at", *names, failpoint=failpoint) or "")
    assert refusal("crash-at", "order-2", failpoint="order:after-persist:commit") is None


def test_names_stand_for_nodes() -> None:
    def meant(*names: str) -> list[str]:
        return [node.name for node in targets.nodes(Paper(), "nodes", names)]  # type: ignore[arg-type]

    assert meant("stock") == ["stock-1", "stock-2"]
    assert meant("stock-store", "order-1") == ["stock-store", "order-1"]
    assert meant("services") == ["order-1", "order-2", "stock-1", "stock-2"]
    assert meant("stores", "stores") == ["order-store", "stock-store"]
    assert "gateway" not in meant("all")
    assert meant("gateway") == ["gateway"]


class Together(Paper):
    """The same runtime with one shared store."""

    def nodes(self) -> tuple[Node, ...]:
        return tuple(node for node in super().nodes() if node.name != "stock-store")

    def links(self) -> tuple[tuple[str, str], ...]:
        return tuple((one, "order-store" if other == "stock-store" else other) for one, other in super().links())


def test_the_store_of_each_service_is_the_one_they_share() -> None:
    def named(aim: Any, name: str) -> list[str]:
        return [node.name for node in targets.nodes(Together(), aim, (name,))]  # type: ignore[arg-type]

    assert named("stores", "stock-store") == named("nodes", "order-store") == ["order-store"]
    assert targets.links(Together(), ("stock-1<->stock-store",)) == (("stock-1", "order-store"),)  # type: ignore[arg-type]
    for runtime, name in ((Together(), "cart-store"), (Paper(), "payment-store")):
        with pytest.raises(UsageError, match=name):
            targets.nodes(runtime, "nodes", (name,))  # type: ignore[arg-type]


def test_any_is_drawn_from_the_seed_among_the_targets_of_the_fault() -> None:
    def drawn(aim: Any, name: str) -> set[str]:
        runtime: Any = Paper()
        results = {targets.draw(runtime, aim, (name,), Random(seed)) for seed in range(200)}
        assert targets.draw(runtime, aim, (name,), Random(7)) == targets.draw(runtime, aim, (name,), Random(7))
        return {target for (target,) in results}

    services, stores = {"order-1", "order-2", "stock-1", "stock-2"}, {"order-store", "stock-store"}
    assert drawn("nodes", "any") == services | stores
    assert drawn("services", "any") == drawn("nodes", "any-service") == services
    assert drawn("stores", "any") == drawn("nodes", "any-store") == stores
    assert "order-1<->stock-2" in drawn("links", "any")
    assert drawn("nodes", "stock-1") == {"stock-1"}


def test_a_role_is_that_of_the_moment() -> None:
    runtime: Any = Copied(*ALL)

    def drawn(name: str) -> set[str]:
        return {targets.draw(runtime, "nodes", (name,), Random(seed))[0] for seed in range(60)}

    assert drawn("stock-store:primary") == {"stock-store-1"}
    assert drawn("order-store:copy") == {"order-store-1", "order-store-3"}
    assert drawn("any-store:primary") == {"order-store-2", "stock-store-1"}
    assert drawn("elector<->stock-store:primary") == {"elector<->stock-store-1"}
    assert "elector" in drawn("any")
    runtime.replaced = "stock-store"
    assert drawn("any-store:primary") == {"order-store-2"}
    with pytest.raises(UsageError, match="the store has no primary"):
        drawn("stock-store:copy")


def test_the_name_of_a_store_stands_for_its_copies() -> None:
    runtime: Any = Copied(*ALL)
    assert [node.name for node in targets.nodes(runtime, "stores", ("stock-store",))] == [
        f"stock-store-{at}" for at in (1, 2, 3)
    ]
    assert len(targets.links(runtime, ("elector->stock-store",))) == 3


@pytest.mark.parametrize(
    ("runtime", "target", "words"),
    [
        (Paper(*ALL), "stock-store:primary", "the store has no copies"),
        (Copied(*ALL), "stock-store:leader", "'leader' of 'stock-store:leader' is not one of: primary, copy"),
        (Copied(*ALL), "cart-store:primary", "no target 'cart-store'"),
        (Copied(*ALL), "order-1:primary", "is not a target of this fault"),
    ],
)
def test_a_role_that_no_node_has_is_rejected(runtime: Paper, target: str, words: str) -> None:
    assert words in (refusal("stale-primary", target, runtime=runtime) or "")


def test_the_failpoints_of_two_phase_commit() -> None:
    protocol = load("2pc")
    results = failpoints(protocol, protocol.configure())
    assert len(results) == len(set(results)) == 54
    assert {"order:before-persist:commit", "order:after-persist:commit", "stock:after-persist:apply"} <= set(results)
    assert {"payment:before-send:vote", "order:after-reply:refused", "stock:after-send:inquiry"} <= set(results)
    wounding = failpoints(protocol, protocol.configure({"locks": "wound-wait"}))
    assert set(wounding) - set(results) == {
        f"{service}:{when}-send:wound" for service in ("stock", "payment") for when in ("before", "after")
    }
