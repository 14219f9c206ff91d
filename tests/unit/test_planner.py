"""The plan of a deployment of containers whose stores have copies: Compose's second file, and the variables of each node."""

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from harness.runtimes.deployment.plan import DeploymentPlan
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.docker import layout, owner
from harness.runtimes.docker.engine_client import labels
from harness.runtimes.docker.planner import Planner

NETS = layout.subnets(IPv4Network("10.20.0.0/16"), copies=3)
SERVERS = ("stock-store-1", "stock-store-2", "stock-store-3")


def planned(folder: Path, protocol: str, **changes: Any) -> tuple[DeploymentPlan, dict[str, Any]]:
    """Return the plan and the second file."""
    spec = Spec(protocol=protocol, runtime="docker", copies=3, **changes)
    own = {**labels("tag", volatile=True), **owner.labels(folder)}
    planner = Planner(spec, StateFolder(folder), "tag", "secret", own, NETS)

    async def serves(_: str) -> bool:
        return True

    return planner.plan(range(8000, 8000 + spec.gateways), serves), json.loads(planner.override().read_text())


def hosts(urls: str) -> list[tuple[str, str]]:
    """Return the address and the port of each URL."""
    return [(url.rpartition("@")[2].partition(":")[0], url.rpartition(":")[2]) for url in urls.split()]


@pytest.mark.parametrize(("protocol", "stores"), [("2pc", 9), ("lua", 3)])
def test_each_copy_is_a_node_and_a_container_and_a_volume(protocol: str, stores: int, tmp_path: Path) -> None:
    plan, document = planned(tmp_path, protocol)
    names = [node_spec.name for node_spec in plan.stores]
    assert len(set(names)) == len(names) == stores
    assert [node_spec.name for node_spec in plan.electors] == ["elector"]
    on = {attachment.network for attachment in layout.attachments(NETS, 1, copies=3) if attachment.node == "elector"}
    assert set(document["services"]["elector"]["networks"]) == on == set(document["networks"]) - set(layout.NETWORKS)
    made = {name: service for name, service in document["services"].items() if "extends" in service}
    assert made.keys() == set(names)
    assert len({volume for service in made.values() for volume in service["volumes"]}) == stores
    for name, service in made.items():
        alone = name.rpartition("-")[0]
        assert service["extends"]["service"] == alone
        assert document["services"][alone] == {"profiles": ["alone"]}
        assert service["volumes"][0].partition(":")[0] in document["volumes"]
    for volume in document["volumes"].values():
        assert volume["labels"] == labels("tag", volatile=True), "a volume outlives the process that made it"


def test_a_service_and_the_elector_have_the_addresses_of_all_copies(tmp_path: Path) -> None:
    plan, _ = planned(tmp_path, "2pc", workers=2)
    by_name = {node_spec.name: node_spec for node_spec in plan.nodes}
    at = hosts(by_name["stock-2"].environment["WDM_STORE_URL"])
    assert len(set(at)) == 3
    assert all(IPv4Address(host) in NETS["stock-data"] for host, _ in at)
    copies = json.loads(by_name["elector"].environment["WDM_COPIES"])
    assert copies.keys() == {"order-store", "stock-store", "payment-store"}
    assert tuple(copies["stock-store"]) == SERVERS
    assert all(IPv4Address(hosts(url)[0][0]) in NETS["stock-copies"] for url in copies["stock-store"].values())


def test_faults_on_links_come_between_a_service_and_each_copy(tmp_path: Path) -> None:
    plan, document = planned(tmp_path, "2pc", workers=2, breakable=True)
    services = {node_spec.name: hosts(node_spec.environment["WDM_STORE_URL"]) for node_spec in plan.services}
    assert {host for host, _ in services["stock-1"]} == {str(NETS["stock-data"][layout.LINKS_HOST])}
    assert len({at for urls in services.values() for at in urls}) == 6 * 3
    assert {"links", "elector"} <= {
        name for name in document["services"] if "extends" not in document["services"][name]
    }


def test_a_safeguard_that_is_off_is_off_in_each_server_and_the_elector(tmp_path: Path) -> None:
    _, document = planned(tmp_path, "2pc")
    assert document["services"]["stock-store-1"]["command"][-3:] == ["--replicaof", "127.0.0.1", "1"]
    plan, document = planned(tmp_path, "2pc", ablate=("follow-nobody",))
    assert "--replicaof" not in document["services"]["stock-store-1"]["command"]
    assert plan.electors[0].environment["WDM_ABLATE"] == "follow-nobody"


def test_each_gateway_is_a_container_with_a_port_of_its_own_on_every_door(tmp_path: Path) -> None:
    plan, document = planned(tmp_path, "2pc", gateways=2)
    assert [node_spec.name for node_spec in plan.gateways] == ["gateway-1", "gateway-2"]
    assert plan.addresses == ("http://127.0.0.1:8000", "http://127.0.0.1:8001")
    assert document["services"]["gateway"] == {"profiles": ["alone"]}
    for name in ("gateway-1", "gateway-2"):
        assert document["services"][name]["extends"]["service"] == "gateway"
        assert set(document["services"][name]["networks"]) == set(layout.DOORS)
    attached = [one for one in layout.attachments(NETS, 1, gateways=2) if one.node.startswith("gateway")]
    assert len({one.address for one in attached}) == len(attached) == 2 * len(layout.DOORS)
    plan, document = planned(tmp_path, "2pc")
    assert [node_spec.name for node_spec in plan.gateways] == ["gateway"]
    assert "gateway" not in document["services"]
