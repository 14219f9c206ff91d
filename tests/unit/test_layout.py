"""Which stores a deployment has is what the protocol says, and every plan of one follows."""

from pathlib import Path

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
