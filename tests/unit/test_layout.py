"""Which stores a deployment has is what the protocol says, and every plan of one follows."""

from pathlib import Path
from typing import Any

import pytest

from harness.explore.suite import ModelCheck, participants
from harness.runtimes.deployment.plan import DeploymentPlan as Plan
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.local.layout import direct, plan_deployment
from protocols.core import Layout
from protocols.errors import UsageError
from protocols.registry import load, names
from protocols.shop.services import SERVICES
from tests.brokers import missing


def plan_of(protocol: str, folder: Path, **changes: object) -> Plan:
    ports = iter(range(30_000, 30_100))
    return plan_deployment(
        Spec(protocol=protocol, workers=2, **changes), StateFolder(folder), lambda: next(ports), direct
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("name", names())
def test_a_service_has_a_store_of_its_own_or_the_coordinators(name: str, tmp_path: Path) -> None:
    protocol = load(name)
    owners = [protocol.store_of(service) for service in SERVICES]
    assert owners == (list(SERVICES) if protocol.layout is Layout.SEPARATE else ["order"] * 3)
    plan = plan_of(name, tmp_path)
    assert [node_spec.name for node_spec in plan.stores] == [f"{owner}-store" for owner in dict.fromkeys(owners)]
    assert set(plan.data) == {node_spec.name for node_spec in plan.stores}


def test_services_that_share_a_store_are_all_sent_there(tmp_path: Path) -> None:
    plan = plan_of("lua", tmp_path)
    (store,) = plan.stores
    assert {node_spec.environment["WDM_STORE_URL"] for node_spec in plan.services} == set(plan.store_urls.values())
    assert all(f":{store.port}/" in url for url in plan.store_urls.values())
    assert list(plan.store_urls) == list(SERVICES)


def test_services_apart_never_share_one(tmp_path: Path) -> None:
    plan = plan_of("2pc", tmp_path)
    assert len(set(plan.store_urls.values())) == len(plan.stores) == 3


def test_who_shares_a_store_has_no_participants() -> None:
    assert (participants(load("lua")), participants(load("2pc"))) == (0, 2)
    with pytest.raises(UsageError, match="lua has no participants"):
        ModelCheck("lua", participants=2).cases()


def test_several_gateways_share_the_sockets_of_one_port_and_each_has_a_probe_of_its_own(tmp_path: Path) -> None:
    ports, opened = iter(range(30_000, 30_100)), []

    def listen(port: int) -> tuple[int, ...]:
        opened.append(port)
        return (7, 8)

    spec = Spec(protocol="2pc", gateways=2, port=8000)
    plan = plan_deployment(spec, StateFolder(tmp_path), lambda: next(ports), direct, listen)
    assert [node_spec.name for node_spec in plan.gateways] == ["gateway-1", "gateway-2"]
    assert plan.addresses == ("http://127.0.0.1:8000",)
    assert opened == [8000]
    own = [node_spec.environment["WDM_LISTEN"] for node_spec in plan.gateways]
    assert own == [f"127.0.0.1:{node_spec.port}" for node_spec in plan.gateways]
    assert len({"127.0.0.1:8000", *own}) == 3
    assert {(node_spec.environment["WDM_SHARED_SOCKETS"], node_spec.descriptors) for node_spec in plan.gateways} == {
        ("7 8", (7, 8))
    }
    (only,) = plan_of("2pc", tmp_path, port=8000).gateways
    assert (only.name, only.environment["WDM_LISTEN"], only.descriptors) == ("gateway", "127.0.0.1:8000", ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"brokers": 2, "transport": "rabbitmq"}, "brokers=2 is not 1 or 3: a majority of 3 goes on"),
        ({"brokers": 3}, "--brokers 3 is for --transport rabbitmq or kafka, not for http"),
        ({"brokers": 3, "transport": "streams"}, "not for streams"),
        ({"brokers": 3, "transport": "kafka", "runtime": "docker"}, "--brokers is for the local runtime"),
    ],
)
def test_three_nodes_are_for_brokers_that_have_a_majority(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Spec(protocol="saga", **changes).check()


@pytest.mark.parametrize("transport", ["rabbitmq", "kafka"])
def test_each_service_knows_every_node_of_its_broker(transport: str, tmp_path: Path) -> None:
    missing(transport)
    plan = plan_of("saga", tmp_path, transport=transport, brokers=3)
    assert [node_spec.name for node_spec in plan.brokers] == ["broker-1", "broker-2", "broker-3"]
    assert len({node_spec.port for node_spec in plan.brokers}) == 3
    for node_spec in plan.services:
        assert len(set(node_spec.environment["WDM_BROKER_URL"].split())) == 3
    (only,) = plan_of("saga", tmp_path, transport=transport).brokers
    assert only.name == "broker"
