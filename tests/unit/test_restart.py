"""The restart of services from another process: the names of its nodes, and the deployments that it rejects."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import EnvironmentFailure
from harness.runtimes.base import Node
from harness.runtimes.deployment.control import DeploymentView
from harness.runtimes.deployment.restart import chosen, restart
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import DeploymentRecord, StateFolder
from protocols.errors import UsageError

NODES = (
    Node("order-store", "store", "order", 1, "", "running"),
    Node("order-1", "service", "order", 2, "", "running"),
    Node("order-2", "service", "order", 3, "", "running"),
    Node("stock-1", "service", "stock", 4, "", "running"),
    Node("gateway", "gateway", "", 5, "", "running"),
)


def a_shop(phase: Any = "up", troubles: tuple[str, ...] = (), **spec: Any) -> DeploymentView:
    record = DeploymentRecord(
        tag="",
        phase=phase,
        supervisor=1,
        gateway="",
        spec=Spec(protocol="2pc", **spec),
        secret="",
        store_urls={},
        nodes=[],
    )
    return DeploymentView(record, NODES, supervised=True, troubles=troubles)


@pytest.mark.parametrize(
    ("names", "nodes"),
    [
        ((), ["order-1", "order-2", "stock-1"]),
        (("order",), ["order-1", "order-2"]),
        (("stock", "order-2"), ["order-2", "stock-1"]),
    ],
)
def test_services_and_their_processes_can_be_named(names: tuple[str, ...], nodes: list[str]) -> None:
    assert [node.name for node in chosen(a_shop(), names)] == nodes


def test_the_only_gateway_has_to_be_named_and_several_restart_with_the_services() -> None:
    assert [node.name for node in chosen(a_shop(), ("gateway",))] == ["gateway"]
    one_of_two = [replace(NODES[-1], name=f"gateway-{number}") for number in (1, 2)]
    shop = replace(a_shop(gateways=2), nodes=(*NODES[:-1], *one_of_two))
    assert [node.name for node in chosen(shop, ())] == ["order-1", "order-2", "stock-1", "gateway-1", "gateway-2"]
    assert [node.name for node in chosen(shop, ("gateway",))] == ["gateway-1", "gateway-2"]
    assert [node.name for node in chosen(shop, ("gateway-2",))] == ["gateway-2"]


@pytest.mark.parametrize("name", ["payment", "order-store", "gateway-1"])
def test_other_names_are_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name!r}; there are: order, order-1, order-2, stock, stock-1, gateway"):
        chosen(a_shop(), (name,))


@pytest.mark.parametrize(
    ("shop", "words"),
    [
        (a_shop(troubles=("order-2 is down",)), "order-2 is down; a restart begins when every node runs"),
        (a_shop(phase="starting"), "the shop is starting"),
        (a_shop(respawn_after_s=0.0), "started with --respawn-after-s 0"),
    ],
)
def test_a_deployment_that_would_not_come_back_is_left_alone(shop: DeploymentView, words: str, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match=words):
        restart(StateFolder(tmp_path), shop, NODES, rolling=True, say=print)


def test_a_deployment_that_ends_meanwhile_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="stopped during the restart"):
        restart(StateFolder(tmp_path), a_shop(), NODES[1:2], rolling=True, say=print)
