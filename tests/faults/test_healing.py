"""The end of a run heals every fault and leaves no process, port or folder."""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from harness import faults
from harness.runtimes.base import Rule
from harness.runtimes.deployment import process
from harness.runtimes.deployment.process import Identity
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from protocols.service.faults import Faults
from tests.faults.acts import checkout, healed, injected, services, states, until

SPEC = Spec(protocol="2pc", respawn_after_s=0.1, time_limit_s=4.0, breakable=True)
EVERYTHING = [
    faults.fault(kind, names or None, for_s=60, settings=settings)
    for kind, names, settings in (
        ("skew", (), {}),
        ("duplicate", (), {}),
        ("crash-at", (), {"failpoint": "payment:after-persist:apply"}),
        ("pause", ("order-1", "payment-store"), {}),
        ("partition", ("stock",), {}),
        ("slow", ("payment",), {}),
        ("crash", ("stock-1",), {}),
        ("lost-tail", ("order-store",), {}),
        ("loss", ("any",), {}),
    )
]


async def break_everything(shop: LocalDeployment) -> list[faults.Fault]:
    begun = []
    for fault in EVERYTHING:
        assert faults.refuse(shop, fault) is None
        begun.append((await faults.start(shop, fault, Random(3)))[0])
    return begun


@pytest.mark.asyncio(loop_scope="package")
async def test_heal_all_undoes_everything_at_once(shop: LocalDeployment, client: ShopClient) -> None:
    await break_everything(shop)
    await until(lambda: states(shop, "order-1", "stock-1") == ["paused", "down"])
    await faults.heal_all(shop)
    await faults.heal_all(shop)
    await healed(shop)
    assert shop.holds.begun == []
    assert [await injected(shop, node.name) for node in services(shop)] == [Faults()] * 3
    pids = [node.pid for node in shop.nodes()]
    assert await checkout(client) == 200
    assert [node.pid for node in shop.nodes()] == pids


@pytest.mark.asyncio(loop_scope="package")
async def test_heal_all_undoes_also_states_without_a_fault(shop: LocalDeployment, client: ShopClient) -> None:
    shop.apply_rule("somebody", shop.links(), Rule(cut=True), Random(1))
    shop.pause("payment-1")
    shop.kill("stock-1", stay_down=True)
    await shop.disturb("somebody", ["order-1"], Faults(skew_ms=1_000))
    await until(lambda: states(shop, "payment-1", "stock-1") == ["paused", "down"])
    await faults.heal_all(shop)
    await healed(shop)
    assert await injected(shop, "order-1") == Faults()
    assert await checkout(client) == 200


@pytest.mark.asyncio(loop_scope="package")
async def test_each_fault_heals_itself_in_any_order(shop: LocalDeployment, client: ShopClient) -> None:
    begun = await break_everything(shop)
    Random(4).shuffle(begun)
    for fault in begun:
        await faults.end(shop, fault)
    await healed(shop)
    pids = [node.pid for node in shop.nodes()]
    assert await checkout(client) == 200
    assert [node.pid for node in shop.nodes()] == pids


@pytest.mark.asyncio(loop_scope="package")
async def test_a_fault_that_cannot_start_leaves_no_effect(shop: LocalDeployment) -> None:
    fault = faults.fault("pause", ("order-1", "stock-1"), for_s=1)
    shop.pause("order-1")
    real, shop.pause = shop.pause, _fails  # type: ignore[method-assign]
    try:
        with pytest.raises(RuntimeError, match="no"):
            await faults.start(shop, fault, Random(1))
    finally:
        shop.pause = real  # type: ignore[method-assign]
    await until(lambda: states(shop, "order-1", "stock-1") == ["running", "running"])
    assert shop.holds.begun == []


def _fails(_: str) -> None:
    raise RuntimeError("no")


async def left(tag: str, nodes: list[Identity], ports: list[int]) -> list[str]:
    """Return the remaining processes, ports and folders of a deployment."""
    remaining = [f"process {identity.pid}" for identity in {*nodes, *process.tagged(tag)} if process.alive(identity)]
    for port in ports:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            remaining.append(f"listener {port}")
    return remaining


@pytest.mark.slow
@pytest.mark.parametrize("how", ["exception", "cancelled twice"])
async def test_nothing_is_left_when_a_run_ends_in_the_midst_of_its_faults(how: str, tmp_path: Path) -> None:
    seen: dict[str, tuple[str, list[Identity], list[int]]] = {}
    broken = asyncio.Event()

    async def run() -> None:
        async with LocalDeployment(SPEC, tmp_path) as shop:
            plan = shop.plan
            pids = [node.pid for node in shop.nodes()]
            ports = [link.port for link in shop.platform.network._links.values()]
            ports += [node.port for node in plan.nodes]
            identities = [identity for pid in pids if pid and (identity := process.identify(pid))]
            seen["it"] = plan.tag, identities, ports
            await break_everything(shop)
            broken.set()
            if how == "exception":
                raise RuntimeError("the run fails")
            await asyncio.sleep(60)

    before = asyncio.all_tasks()
    running = asyncio.create_task(run())
    waiting = asyncio.create_task(broken.wait())
    await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    if how != "exception":
        running.cancel()
        await asyncio.sleep(0.01)
        running.cancel()
    with pytest.raises(RuntimeError if how == "exception" else asyncio.CancelledError):
        await running
    await waiting
    assert await left(*seen["it"]) == []
    await until(lambda: not [task for task in asyncio.all_tasks() - before if not task.done()])


def test_a_shop_without_proxies_rejects_faults_of_links(tmp_path: Path) -> None:
    shop = LocalDeployment(Spec(protocol="2pc"), tmp_path)
    assert shop.links() == ()
    assert faults.refuse(shop, faults.fault("partition")) == "partition needs links, which this runtime does not have"
    assert "log-tail" in (faults.refuse(shop, faults.fault("power-cut")) or "")
