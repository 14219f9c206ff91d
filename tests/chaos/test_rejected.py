"""Readable messages that the store refuses become dead letters, and no other message waits for them."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from protocols.registry import load
from protocols.saga.machine import Perform
from protocols.service.codec import Codec
from protocols.service.links import TRANSPORTS, dead_letter_log
from protocols.service.links.broker import MOST_BATCHES_IN
from protocols.service.links.frames import FrameSender, Status
from protocols.service.links.peers import PATH, SECRET
from protocols.two_phase.messages import Abort, Prepare
from tests.brokers import missing
from tests.contract.acts import item, order, state, user

pytestmark = pytest.mark.asyncio

MANY = 200
WITHIN_S = 15.0
BROKERED = pytest.mark.broker
PLACES = (
    ("http", "2pc"),
    ("tcp", "2pc"),
    pytest.param("streams", "2pc", marks=pytest.mark.slow),
    pytest.param("streams", "saga", marks=pytest.mark.slow),
    pytest.param("rabbitmq", "2pc", marks=BROKERED),
    pytest.param("kafka", "2pc", marks=BROKERED),
)
REJECTED = {"http": 422, "tcp": Status.REJECTED}
assert MANY > 2 * MOST_BATCHES_IN


def refused(protocol: str, number: int) -> Any:
    """A message whose transaction's id has no sequence number: every store refuses its command."""
    txn = f"no sequence number {number}"
    if protocol == "saga":
        return Perform(txn, "stock/0", (0, 0), ())
    return Abort(txn) if number % 2 else Prepare(txn, "order", "stock/0", 1, (0, 0), ())


async def send(shop: LocalDeployment, messages: list[Any]) -> list[int]:
    """Each in a batch of its own, as somebody else's process. Without a broker: the statuses of the answers."""
    codec, there = Codec(load(shop.spec.protocol).messages), TRANSPORTS[shop.spec.transport]
    bodies = [codec.encode(shop.node("order-1").url, [message]) for message in messages]
    if there.broker:
        await there.publish(shop.broker_url("order-1"), "stock", *bodies)
        return []
    if shop.spec.transport == "tcp":
        return await _send_frames(shop.node("stock-1").url, shop.secret, bodies)
    address = shop.node("stock-1").url + PATH
    async with aiohttp.ClientSession(headers={SECRET: shop.secret}) as session:

        async def post(body: bytes) -> int:
            async with session.post(address, data=body) as answer:
                return answer.status

        return await asyncio.gather(*map(post, bodies))


async def _send_frames(url: str, secret: str, bodies: list[bytes]) -> list[int]:
    answers: list[int] = []
    sender = await FrameSender.connect(url, secret, lambda _, status: answers.append(status), lambda _: None)
    for body in bodies:
        sender.send(body)
    async with asyncio.timeout(WITHIN_S):
        while len(answers) < len(bodies):
            await asyncio.sleep(0.01)
    sender.close()
    return answers


async def fetch(shop: LocalDeployment, path: str) -> Any:
    async with (
        aiohttp.ClientSession(headers={SECRET: shop.secret}) as session,
        session.get(shop.node("stock-1").url + path) as answer,
    ):
        return await answer.json()


async def until_dead_lettered(shop: LocalDeployment, count: int) -> None:
    deadline = time.monotonic() + WITHIN_S
    while (found := (await fetch(shop, "/health"))["dead_letters"]) < count:
        assert time.monotonic() < deadline, f"{found} of {count} dead letters"
        await asyncio.sleep(0.05)


async def letters_at_the_broker(shop: LocalDeployment, count: int) -> Sequence[bytes]:
    """Return the dead letters once there are so many: a node counts a message before the broker has its dead letter."""
    deadline = time.monotonic() + WITHIN_S
    while len(letters := await shop.dead_letters()) < count:
        assert time.monotonic() < deadline, f"{len(letters)} of {count} dead letters"
        await asyncio.sleep(0.05)
    return letters


@pytest.mark.parametrize(("transport", "protocol"), PLACES)
async def test_a_message_that_the_store_refuses_becomes_a_dead_letter_and_stops_no_other(
    transport: str, protocol: str
) -> None:
    missing(transport)
    spec = Spec(protocol=protocol, transport=transport, time_limit_s=8.0)
    async with LocalDeployment(spec) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 9), await user(client, 9)
        placed = await order(client, buyer, (name, 2))
        answers = await send(shop, [refused(protocol, number) for number in range(MANY)])
        assert answers == [REJECTED[transport]] * MANY if transport in REJECTED else answers == []
        assert (await client.call("checkout", placed)).status == 200
        assert await state(client, placed, [name], buyer) == {"paid": True, "stock": [7], "credit": 7}
        await until_dead_lettered(shop, MANY)
        listed = await fetch(shop, "/internal/dead-letters")
        assert (listed["count"], len(listed["last"])) == (MANY, dead_letter_log.REMEMBERED)
        assert all("no sequence number" in letter["begins"] for letter in listed["last"])
        if TRANSPORTS[transport].broker:
            assert len(await letters_at_the_broker(shop, MANY)) == MANY
        said = shop.log("stock-1").read_text()
        assert 0 < said.count("message dead-lettered") < MANY / 4, "one line of a kind in a while"
        assert 0 < said.count("store refused a command") < MANY / 4


async def test_a_batch_loses_its_refused_messages_and_no_other() -> None:
    async with LocalDeployment(Spec(protocol="2pc", transport="streams")) as shop, ShopClient(shop.url) as client:
        name = await item(client, 9)
        good = Prepare("somebody.1", "order", "stock/0", 1, (0, 0), ((f"item:{name}", -2),))
        codec, sender = Codec(load("2pc").messages), "order-1"
        batch = codec.encode(sender, [refused("2pc", 0), good, refused("2pc", 1)])
        await TRANSPORTS["streams"].publish(shop.broker_url("order-1"), "stock", batch)
        await until_dead_lettered(shop, 2)
        (letter,) = await letters_at_the_broker(shop, 1)
        assert codec.decode(letter) == (sender, [refused("2pc", 0), refused("2pc", 1)])
        (row,) = await fetch(shop, "/internal/txns/somebody.1")
        assert row["state"] in ("prepared", "conflict:aborted"), "carried out; nobody ever began it"
