"""Stores under Sentinel and Valkey Cluster: the values of `--copies`, the plans, the files, and the answers of managers."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from harness.bench.cases import BenchCase, Candidate, swept
from harness.bench.execute import case_settings
from harness.run import scenarios
from harness.run.bench_manifest import CaseSettings
from harness.run.plan import Plan
from harness.runtimes.deployment.plan import DeploymentPlan
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.local.cluster import SLOTS, readdressed, slot, slot_ranges
from harness.runtimes.local.layout import direct, plan_deployment
from harness.runtimes.local.managed import node_id
from harness.runtimes.local.sentinels import last_primaries
from protocols.copies.managed import cluster_nodes, cluster_primary, sentinels_primary
from protocols.copies.replication import REPLICATIONS, CopiesValue, parse
from protocols.errors import UsageError


def planned(
    folder: Path, protocol: str, copies: CopiesValue, via: Callable[[str, str, int], int] = direct
) -> DeploymentPlan:
    ports = iter(range(30_000, 30_100))
    return plan_deployment(Spec(protocol=protocol, copies=copies), StateFolder(folder), lambda: next(ports), via)


def prepared(plan: DeploymentPlan) -> DeploymentPlan:
    for node_spec in plan.nodes:
        node_spec.prepare()
    return plan


@pytest.mark.parametrize("value", REPLICATIONS)
def test_a_value_is_parsed_as_number_and_as_text(value: CopiesValue) -> None:
    assert parse(value) == parse(str(value)) == value


@pytest.mark.parametrize("value", [0, 2, "2", "", "Sentinel", True, 1.0, None])
def test_another_value_is_refused_by_name(value: object) -> None:
    with pytest.raises(UsageError, match="is not one of: 1, 3, sentinel, cluster"):
        parse(value)


@pytest.mark.parametrize("copies", ["sentinel", "cluster"])
def test_containers_and_the_simulator_refuse_a_manager(copies: CopiesValue) -> None:
    with pytest.raises(UsageError, match=f"--copies {copies} is for the local runtime: containers have"):
        Spec(protocol="2pc", runtime="docker", copies=copies).check()
    with pytest.raises(UsageError, match="--ablate confirm would change nothing: it is for --copies 3"):
        Spec(protocol="2pc", copies=copies, ablate=("confirm",)).check()
    with pytest.raises(UsageError, match="leave --store-url out"):
        Spec(protocol="2pc", copies=copies, store_urls={"order": "redis://127.0.0.1:1/0"}).check()
    scenario = scenarios.load("store-crash")
    plan = Plan(replace(scenario, copies=copies), "2pc", seed=1, runtime="sim")
    with pytest.raises(UsageError, match=f"the simulator has no copies={copies}"):
        plan.spec()


@pytest.mark.parametrize(("copies", "protocol", "electors"), [
    ("sentinel", "2pc", ["sentinel-1", "sentinel-2", "sentinel-3"]),
    ("sentinel", "lua", ["sentinel-1", "sentinel-2", "sentinel-3"]),
    ("cluster", "2pc", []),
    ("cluster", "lua", ["voter-1", "voter-2"]),
])  # fmt: skip
def test_each_store_has_three_servers_and_its_services_the_way_to_the_primary(
    copies: CopiesValue, protocol: str, electors: list[str], tmp_path: Path
) -> None:
    plan = planned(tmp_path, protocol, copies, lambda _source, _to, port: port + 1_000)
    assert [node_spec.name for node_spec in plan.electors] == electors
    stores = {node_spec.name.rpartition("-")[0] for node_spec in plan.stores}
    assert len(plan.stores) == 3 * len(stores)
    for node_spec in plan.services:
        managed = json.loads(node_spec.environment["WDM_STORE_MANAGED"])
        assert managed["name"] in stores
        own = [server for server in plan.stores if server.name.startswith(managed["name"])]
        assert managed["servers"] == [f"127.0.0.1:{server.port}" for server in own]
        urls = node_spec.environment["WDM_STORE_URL"].split()
        assert [f":{server.port + 1_000}/" in url for server, url in zip(own, urls, strict=True)] == [True] * 3
        assert len(managed.get("sentinels", ())) == (3 if copies == "sentinel" else 0)


def test_all_slots_have_an_owner_and_each_store_owns_its_own_tag() -> None:
    assert slot("123456789") == 0x31C3  # of the specification of Redis Cluster
    for shards in (["order-store", "stock-store", "payment-store"], ["order-store", "voter-1", "voter-2"]):
        ranges = {shard: tuple(map(int, text.split("-"))) for shard, text in slot_ranges(shards).items()}
        assert sorted(number for first, last in ranges.values() for number in range(first, last + 1)) == [*range(SLOTS)]
        assert all(first <= slot(shard) <= last for shard, (first, last) in ranges.items())


def test_every_node_of_a_cluster_begins_with_the_same_nodes(tmp_path: Path) -> None:
    plan = prepared(planned(tmp_path, "lua", "cluster"))
    texts = [(data / "nodes.conf").read_text() for data in (tmp_path / "data" / "lua-cluster").iterdir()]
    assert len(texts) == 5
    assert len({text.replace("myself,", "") for text in texts}) == 1
    assert all(text.count("myself") == 1 for text in texts)
    nodes = list(cluster_nodes(texts[0].partition("vars")[0].replace("myself,", "")))
    assert [(node.id, node.primary, node.slots) for node in nodes] == [
        (node_id(name), primary, primary)
        for name, primary in (
            ("order-store-1", True), ("order-store-2", False), ("order-store-3", False), ("voter-1", True), ("voter-2", True),
        )
    ]  # fmt: skip
    assert [node.address for node in nodes] == [f"127.0.0.1:{spec.port}" for spec in (*plan.stores, *plan.electors)]


def test_a_former_file_of_nodes_keeps_the_roles_and_gets_the_new_addresses() -> None:
    ids = [node_id(name) for name in ("a", "b")]
    text = (
        f"{ids[0]} 127.0.0.1:1@2,,shard-id={ids[1]} master,fail - 1 1 7 connected 0-16383\n"
        f"{ids[1]} 127.0.0.1:3@4,,shard-id={ids[1]} myself,slave,fail? {ids[0]} 0 0 7 connected\n"
        "vars currentEpoch 7 lastVoteEpoch 7\n"
    )
    assert readdressed(text, {ids[0]: "127.0.0.1:11@12", ids[1]: "127.0.0.1:13@14"}) == (
        f"{ids[0]} 127.0.0.1:11@12,,shard-id={ids[1]} master - 1 1 7 connected 0-16383\n"
        f"{ids[1]} 127.0.0.1:13@14,,shard-id={ids[1]} myself,slave {ids[0]} 0 0 7 connected\n"
        "vars currentEpoch 7 lastVoteEpoch 7\n"
    )


def test_the_next_deployment_begins_with_the_last_primary_of_sentinel(tmp_path: Path) -> None:
    files = [tmp_path / "data" / "2pc-sentinel" / f"sentinel-{number}" / "sentinel.conf" for number in (1, 2, 3)]
    assert last_primaries(files) == {}
    plan = prepared(planned(tmp_path, "2pc", "sentinel"))
    first, second = plan.stores[0], plan.stores[1]
    assert last_primaries(files)["order-store"] == first.name == "order-store-1"
    monitor = f"sentinel monitor order-store 127.0.0.1 {first.port} "
    for file, port, epoch in zip(files, (first.port, second.port, first.port), (1, 2, 1), strict=True):
        text = file.read_text()
        assert monitor in text
        text = text.replace(monitor, f"sentinel monitor order-store 127.0.0.1 {port} ")
        file.write_text(f"{text}sentinel config-epoch order-store {epoch}\n")
    prepared(planned(tmp_path, "2pc", "sentinel"))
    assert last_primaries(files)["order-store"] == "order-store-2"
    configurations = [(tmp_path / "conf" / f"order-store-{number}.conf").read_text() for number in (1, 2, 3)]
    assert ["replicaof" in configuration for configuration in configurations] == [True, False, True]


def test_most_sentinels_name_the_primary() -> None:
    assert sentinels_primary([None, [b"127.0.0.1", b"1"], [b"127.0.0.1", b"2"], [b"127.0.0.1", b"2"]]) == "127.0.0.1:2"
    assert sentinels_primary([None, None]) == ""


def test_the_owner_of_slots_in_the_largest_epoch_is_the_primary() -> None:
    old = b"a 127.0.0.1:1@2 myself,master - 0 0 1 connected 0-9\nb 127.0.0.1:3@4 slave a 0 0 1 connected\n"
    new = b"a 127.0.0.1:1@2 master,fail - 0 0 1 connected\nb 127.0.0.1:3@4 myself,master - 0 0 4 connected 0-9\n"
    servers = ["127.0.0.1:1", "127.0.0.1:3"]
    assert cluster_primary([old, None, new], servers) == "127.0.0.1:3"
    assert cluster_primary([old], servers) == "127.0.0.1:1"
    assert cluster_primary([new], ["127.0.0.1:5"]) == cluster_primary([None], servers) == ""


def test_claims_that_rest_on_the_log_do_not_bind_under_a_manager() -> None:
    scenario = scenarios.load("store-crash")
    for copies, durability in ((3, "everysec"), ("sentinel", "best-effort"), ("cluster", "best-effort")):
        plan = Plan(replace(scenario, copies=copies, durability="always"), "2pc", seed=1, runtime="local")
        expected = "always" if copies == 3 else durability
        assert plan.claims().durability == expected
        assert plan.header().durability == "always", "the stores still force their logs"


def test_a_bench_sweeps_managers_and_keeps_them() -> None:
    cases = swept([BenchCase(Candidate("2pc"))], ["copies=1,3,sentinel,cluster"])
    assert [case.copies for case in cases] == [1, 3, "sentinel", "cluster"]
    assert ["copies" in case.name for case in cases] == [False, True, True, True]
    assert cases[2].name.endswith(", copies sentinel")
    for case in cases:
        kept = msgspec.json.decode(msgspec.json.encode(case_settings(case)), type=CaseSettings)
        assert kept.copies == case.copies
    with pytest.raises(UsageError, match="'2' is not one of 1, 3, sentinel, cluster"):
        swept(cases, ["copies=2"])
