"""Faults in the code of service processes, alone and in a shop."""

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from harness import faults
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient, all_at_once
from protocols.ports import LoopClock
from protocols.service.faults import PATH, CrashPoints, DisturbedLink, FaultInjector, Faults, from_json
from tests.contract.acts import credit_of, stock_of
from tests.faults.acts import begin, checkout, healed, injected, placed, rests, services, states, until

shared = pytest.mark.asyncio(loop_scope="package")


class RecordingLink:
    """A link that records its messages, and a clock whose timers fire on `release`."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.held: list[tuple[float, Callable[[], None]]] = []

    def send(self, to: str, message: Any) -> None:
        self.sent.append(f"{to} {message}")

    def call_later(self, after_ms: float, call: Callable[[], None]) -> Any:
        self.held.append((after_ms, call))

    def release(self) -> None:
        for _, call in sorted(self.held, key=lambda entry: entry[0]):
            call()
        self.held.clear()


def send_ten(faults: Faults) -> tuple[RecordingLink, list[str]]:
    inner = RecordingLink()
    link = DisturbedLink(inner, inner, faults)  # type: ignore[arg-type]
    for number in range(10):
        link.send("peer", number)
    at_once = list(inner.sent)
    inner.release()
    return inner, at_once


def test_a_duplicated_message_arrives_at_once_and_once_more() -> None:
    inner, at_once = send_ten(Faults(duplicate=1.0))
    assert at_once == [f"peer {number}" for number in range(10)]
    assert sorted(inner.sent) == sorted(at_once * 2)


def test_delayed_messages_are_overtaken_and_none_is_lost() -> None:
    inner, at_once = send_ten(Faults(reorder=0.5, seed=3))
    assert 0 < len(at_once) < 10
    assert inner.sent != sorted(inner.sent)
    assert sorted(inner.sent) == [f"peer {number}" for number in range(10)]


def test_the_seed_determines_the_order() -> None:
    assert send_ten(Faults(reorder=0.5, seed=3))[0].sent == send_ten(Faults(reorder=0.5, seed=3))[0].sent
    assert send_ten(Faults(reorder=0.5, seed=3))[0].sent != send_ten(Faults(reorder=0.5, seed=4))[0].sent


class Bare:
    failpoint: Any = None
    link: Any = None


def test_without_faults_the_original_link_and_clock_are_used() -> None:
    driver, inner, clock = Bare(), RecordingLink(), LoopClock()
    injector = FaultInjector(driver, inner, clock)  # type: ignore[arg-type]
    injector.apply(Faults(crash_at={"order:after-do:end": 1}, skew_ms=-5_000, duplicate=0.1))
    assert isinstance(driver.failpoint, CrashPoints)
    assert isinstance(driver.link, DisturbedLink)
    assert clock.offset_us == -5_000_000
    injector.apply(Faults())
    assert (driver.failpoint, driver.link, clock.offset_us) == (None, inner, 0)


def test_concurrent_faults_are_combined() -> None:
    one = Faults(crash_at={"a": 1}, skew_ms=100, duplicate=0.2, hold_ms=10)
    other = Faults(crash_at={"b": 2}, skew_ms=-30, reorder=0.1, hold_ms=70)
    both = one | other
    assert (both.crash_at, both.skew_ms, both.duplicate, both.reorder) == ({"a": 1, "b": 2}, 70, 0.2, 0.1)
    assert both.hold_ms == 70
    assert (one | Faults()).hold_ms == (Faults() | one).hold_ms == 10
    assert one | Faults() == Faults() | one == one


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"{", "truncated"),
        (b'{"duplicate": 2}', "<= 1.0"),
        (b'{"crash_at": {"x": 0}}', ">= 1"),
        (b'{"typo": 1}', "typo"),
    ],
)
def test_invalid_faults_are_rejected_by_name(body: bytes, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        from_json(body)


@shared
async def test_the_endpoint_requires_the_secret_and_valid_faults(shop: LocalDeployment) -> None:
    url = shop.node("order-1").url + PATH
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=b"{}") as response:
            assert response.status == 403
        async with session.post(url, data=b'{"typo": 1}', headers={"x-wdm-secret": shop.secret}) as response:
            assert (response.status, "typo" in await response.text()) == (400, True)


async def sent(shop: LocalDeployment) -> float:
    """Return the number of messages that all services have sent."""
    total = 0.0
    async with aiohttp.ClientSession() as session:
        for node in services(shop):
            async with session.get(node.url + "/metrics") as response:
                lines = (await response.text()).splitlines()
            total += sum(float(line.split()[1]) for line in lines if line.startswith("wdm_messages_sent_total "))
    return total


@shared
async def test_messages_are_duplicated(shop: LocalDeployment, client: ShopClient) -> None:
    async def sent_by_a_checkout() -> float:
        before = await sent(shop)
        assert await checkout(client) == 200
        await rests(shop)
        return await sent(shop) - before

    plain = await sent_by_a_checkout()
    fault = await begin(shop, "duplicate", probability=1.0, hold_ms=0)
    assert await sent_by_a_checkout() >= 2 * plain
    await faults.end(shop, fault)
    assert await sent_by_a_checkout() == plain


@shared
async def test_two_phase_commit_holds_under_duplicated_and_reordered_messages(
    shop: LocalDeployment, client: ShopClient
) -> None:
    name, buyers, orders = await placed(client, 40)
    begun = [await begin(shop, kind, probability=0.4, hold_ms=30) for kind in ("duplicate", "reorder")]
    responses = await all_at_once(client, "checkout", [(one,) for one in orders])
    await rests(shop)
    for fault in begun:
        await faults.end(shop, fault)
    assert {response.status for response in responses} == {200}
    assert await stock_of(client, name) == 60
    assert [await credit_of(client, buyer) for buyer in buyers] == [0] * 40


@shared
async def test_a_clock_is_wrong_also_in_the_next_life_and_right_at_the_end(
    shop: LocalDeployment, client: ShopClient
) -> None:
    fault = await begin(shop, "skew", "order", offset_ms=3_600_000)
    assert (await injected(shop, "order-1")).skew_ms == 3_600_000
    await begin(shop, "crash", "order-1", for_s=0)
    await until(lambda: states(shop, "order-1") != ["running"])
    await healed(shop)
    assert (await injected(shop, "order-1")).skew_ms == 3_600_000
    assert await checkout(client) == 200
    await faults.end(shop, fault)
    assert (await injected(shop, "order-1")).skew_ms == 0
    assert await checkout(client) == 200
