"""The cuts between containers that detach a node, the layout of the networks, and the sources of the proxy's image."""

import re
import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from harness.runtimes.docker import images, layout, project
from harness.runtimes.docker.brokers import BROKERS
from harness.runtimes.docker.engine_client import error_line
from harness.runtimes.docker.network_controller import to_detach

NETS = layout.subnets(IPv4Network("10.20.0.0/16"))
COPIED = layout.subnets(IPv4Network("10.20.0.0/16"), copies=3)


def detached(workers: int, *link_ids: str) -> set[str]:
    attachments = layout.attachments(NETS, workers)
    links = layout.links(attachments, NETS)
    cut = {(source, to) for source, to in (link_id.split(">") for link_id in link_ids)}
    assert cut <= {link.link_id for link in links}
    return {f"{attachment.node} off {attachment.network}" for attachment in to_detach(attachments, links, cut)}


@pytest.mark.parametrize(
    ("workers", "link_ids", "off"),
    [
        (1, ["stock-1>stock-store"], {"stock-store off stock-data"}),
        (1, ["order-1>stock-1", "stock-1>order-1"], {"order-1 off order-stock"}),
        (1, ["order-1>stock-1"], set()),  # one direction is the proxy's
        (
            1,
            ["order-1>stock-1", "stock-1>order-1", "order-1>payment-1", "payment-1>order-1", "order-1>order-store"],
            {"order-1 off order-stock", "order-1 off order-payment", "order-store off order-data"},
        ),
        (2, ["order-1>order-store"], {"order-1 off order-data"}),
        (2, ["order-1>order-store", "order-2>order-store"], {"order-store off order-data"}),
        (2, ["order-1>stock-1", "stock-1>order-1"], set()),  # both go on talking to the others
        (
            2,
            ["order-1>stock-1", "stock-1>order-1", "order-1>stock-2", "stock-2>order-1"],
            {"order-1 off order-stock"},
        ),
        (2, [], set()),
    ],
)
def test_who_is_taken_off_which_network(workers: int, link_ids: list[str], off: set[str]) -> None:
    assert detached(workers, *link_ids) == off


@pytest.mark.parametrize("pool", ["172.20.0.0/16", "192.168.16.0/20"])
def test_two_deployments_in_one_pool_need_not_meet(pool: str) -> None:
    last = layout.subnets(IPv4Network(pool), lambda below: below - 1)
    assert set(last) == set(layout.NETWORKS) == set(layout.subnets(IPv4Network(pool)))
    assert set(layout.subnets(IPv4Network(pool), copies=3)) == {*layout.NETWORKS, *layout.COPIED}
    assert set(last.values()) != set(layout.subnets(IPv4Network(pool)).values())


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_every_place_and_every_link_has_an_address_of_its_own(workers: int) -> None:
    attachments = [*layout.attachments(NETS, workers), *layout.helper_attachments(NETS)]
    assert len({attachment.address for attachment in attachments}) == len(attachments)
    links = layout.links(layout.attachments(NETS, workers), NETS)
    assert len({link.at for link in links}) == len(links) == 4 * workers**2 + 3 * workers


@pytest.mark.parametrize("shared", [False, True])
def test_copies_of_a_store_meet_its_services_the_elector_and_each_other(shared: bool) -> None:
    attachments = layout.attachments(COPIED, 2, store_of=(lambda _: "order") if shared else str, copies=3)
    assert len({attachment.address for attachment in attachments}) == len(attachments)
    on: dict[str, set[str]] = {}
    for attachment in attachments:
        on.setdefault(attachment.network, set()).add(attachment.node)

    def met_by(node: str) -> set[str]:
        return set().union(*(nodes for nodes in on.values() if node in nodes)) - {node}

    copies = {
        service: {f"{'order' if shared else service}-store-{number}" for number in (1, 2, 3)}
        for service in ("order", "stock", "payment")
    }
    assert met_by("elector") == set().union(*copies.values())
    for service, stores in copies.items():
        assert {node for node in met_by(f"{service}-1") if layout.is_store(node)} == stores
        assert met_by(min(stores)) >= {*stores, "elector"} - {min(stores)}
    links = layout.links(attachments, COPIED)
    assert {link.link_id for link in links if layout.is_store(link.to)} == {
        (f"{service}-{number}", store) for service, stores in copies.items() for number in (1, 2) for store in stores
    }
    assert not any(layout.is_store(link.source) or "elector" in link.link_id for link in links)


@pytest.mark.parametrize("kind", BROKERS)
def test_the_broker_is_a_link_away_from_every_service_process(kind: str) -> None:
    clients = [name for service in ("order", "stock", "payment") for name in layout.instances(service, 2)]
    ports = BROKERS[kind].ports(clients)
    links = [
        one for one in layout.links(layout.attachments(NETS, 2, broker=True), NETS, ports) if "broker" in one.link_id
    ]
    assert {one.link_id: one.port for one in links} == {(client, "broker"): ports[client] for client in clients}
    orders = BROKERS[kind].variables({one.source: f"{one.at[0]}:{one.at[1]}" for one in links}, "always", "pw")
    assert bool(orders) == (kind != "streams")
    for one in links if kind == "kafka" else ():
        name = one.source.upper().replace("-", "_")
        assert f"{name}://:{one.port}" in orders["WDM_KAFKA_LISTENERS"].split(",")
        assert f"{name}://{one.at[0]}:{one.at[1]}" in orders["WDM_KAFKA_ADVERTISED"].split(",")


def test_the_layout_is_that_of_the_compose_file() -> None:
    text = (Path(__file__).parents[2] / "docker-compose.yml").read_text("utf-8")
    services = text.partition("\nservices:\n")[2].partition("\nnetworks:\n")[0]
    at_the_broker = re.findall(r"    ([a-z-]+): {aliases: \[broker\]}", text)
    on = dict(re.findall(r"^  ([a-z-]+):\n(?:    .*\n)*?    networks: \[([a-z, -]+)\]", services, re.MULTILINE))
    on |= {kind: ", ".join(at_the_broker) for kind in BROKERS if f"  {kind}:\n" in services}
    there = {(attachment.node.removesuffix("-1"), attachment.network) for attachment in layout.attachments(NETS, 1)}
    there |= {
        (kind, attachment.network)
        for kind in BROKERS
        for attachment in layout.attachments(NETS, 1, broker=True)
        if attachment.node == "broker"
    }
    there |= {(attachment.node, attachment.network) for attachment in layout.helper_attachments(NETS)}
    assert {(name, network) for name, networks in on.items() for network in networks.split(", ")} == there
    assert set(layout.NETWORKS) == {network for _, network in there}


def test_services_that_share_a_store_meet_it_on_their_own_networks() -> None:
    attachments = layout.attachments(NETS, 1, store_of=lambda _: "order")
    stores = {attachment.network for attachment in attachments if attachment.node.endswith("-store")}
    assert {attachment.node for attachment in attachments if attachment.network in stores} == {
        "order-store",
        "order-1",
        "stock-1",
        "payment-1",
    }
    assert stores == {"order-data", "stock-data", "payment-data"}
    links = [link.link_id for link in layout.links(attachments, NETS) if link.to.endswith("-store")]
    assert links == [(f"{service}-1", "order-store") for service in ("order", "stock", "payment")]
    text = (Path(__file__).parents[2] / "containers/together.yml").read_text("utf-8")
    (networks,) = re.findall(r"  order-store:\n    networks: \[(.*)\]", text)
    assert set(networks.split(", ")) == stores


@pytest.mark.parametrize(
    ("reports", "words"),
    [
        (
            "x\nERROR: for gateway  driver failed: Bind for 127.0.0.1:80 failed: port is already allocated",
            "a port is taken",
        ),
        ("failed to register layer: write /usr/x: no space left on device", "the engine's disk is full"),
        ("No such image: valkey/valkey:8.0.1", "an image is absent: `wdm images build`"),
        ("Creating network\nERROR: the point\nEncountered errors while bringing up the project.", "ERROR: the point"),
        ("one\ntwo", "two"),
        ("", "no error output"),
    ],
)
def test_what_an_engine_says_becomes_one_line(reports: str, words: str) -> None:
    assert error_line(reports).startswith(words)
    assert "\n" not in error_line(reports)


def test_an_image_of_an_older_proxy_is_rejected_whatever_module_of_it_has_changed() -> None:
    """`images.RUN` left out the proxy once that had moved."""
    listing = (
        "import sys, harness.runtimes.docker.links; print(*(module.__file__ for module in sys.modules.values() if "
    )
    listing += "module.__name__.partition('.')[0] in ('harness', 'protocols') and module.__file__), sep=chr(10))"
    printed = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout
    loaded = {Path(line).relative_to(project.root()) for line in printed.splitlines()}
    assert Path("harness/runtimes/network/proxy.py") in loaded
    covered = {file.relative_to(project.root()) for file in images._files(images.RUN)}
    assert {file for file in loaded - covered if file.name != "__init__.py"} == set()
