"""Queues, streams and groups that are deleted under a service: noticed, logged, made again and read again."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest
from aio_pika import Message, connect
from aio_pika.exceptions import ChannelNotFoundEntity
from redis.asyncio import Redis
from structlog.testing import capture_logs

from protocols.service.links import MOST_DEAD_LETTERS, rabbitmq, streams, transport
from protocols.service.valkey_connection import ServerAddress
from tests.links.conftest import WITHIN_S, Inbox, Note, Running, started
from tests.links.test_brokers import notes, send, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

Delete = Callable[[str], Awaitable[object]]


async def queue(url: str, *names: str) -> None:
    async with await connect(url) as connection:
        channel = await connection.channel()
        for name in names:
            await channel.queue_delete(name)


async def valkey(url: str, *command: str) -> None:
    async with Redis.from_url(url) as client:
        await client.execute_command(*command)  # type: ignore[no-untyped-call]


STREAMS = {
    "a service's stream": lambda url: valkey(url, "DEL", "wdm:stock"),
    "an instance's stream": lambda url: valkey(url, "DEL", "wdm:stock-1"),
    "a service's group": lambda url: valkey(url, "XGROUP", "DESTROY", "wdm:stock", "wdm"),
    "an instance's group": lambda url: valkey(url, "XGROUP", "DESTROY", "wdm:stock-1", "wdm"),
    "everything": lambda url: valkey(url, "FLUSHALL"),
}
QUEUES = {
    "a service's queue": lambda url: queue(url, "wdm.stock"),
    "an instance's queue": lambda url: queue(url, "wdm.stock-1"),
    "every queue": lambda url: queue(url, "wdm.stock", "wdm.stock-1", "wdm.order-1", "wdm.dead"),
}


@pytest.mark.parametrize(
    "delete",
    [
        pytest.param(delete, id=name, marks=() if name in ("everything", "a service's group") else pytest.mark.slow)
        for name, delete in STREAMS.items()
    ],
)
@pytest.mark.parametrize("broker", ["streams"], indirect=True)
async def test_a_stream_that_is_deleted_is_made_again_and_read_again(broker: Running, delete: Delete) -> None:
    await made_again_and_read_again(broker, delete)


@pytest.mark.broker
@pytest.mark.parametrize("delete", QUEUES.values(), ids=QUEUES)
@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
async def test_a_queue_that_is_deleted_is_made_again_and_read_again(broker: Running, delete: Delete) -> None:
    await made_again_and_read_again(broker, delete)


async def made_again_and_read_again(broker: Running, delete: Delete) -> None:
    url, inbox, name = broker.broker.urls["order-1"], Inbox(), uuid.uuid4().hex
    async with started(broker.link("order-1"), Inbox()) as order, started(broker.link("stock-1"), inbox) as stock:
        before, after, answers = notes(f"before {name}", 20), notes(f"after {name}", 20), notes(f"answer {name}", 20)
        send(order, "stock", before)
        await inbox.until(before)
        with capture_logs() as logs:
            await delete(url)
            async with asyncio.timeout(WITHIN_S):
                await send_until_received(order, "stock", after, inbox)
                await send_until_received(order, "stock-1", answers, inbox)
        lost = [line for line in logs if line["event"] == "broker lost"]
        assert 1 <= len(lost) <= 6, logs
        await until(lambda: order.up and stock.up and not order.trouble and not stock.trouble)


async def send_until_received(link: object, to: str, what: set[Note], inbox: Inbox) -> None:
    """Send again until a message arrives, as a protocol does: messages in a deleted queue are lost."""
    while not what <= set(inbox.notes):
        send(link, to, what)
        await asyncio.sleep(0.2)


@pytest.mark.broker
@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
async def test_a_message_to_an_instance_without_a_queue_is_lost_and_costs_no_connection(broker: Running) -> None:
    inbox, wanted = Inbox(), notes("wanted", 5)
    async with started(broker.link("order-1"), Inbox()) as order, started(broker.link("stock-1"), inbox):
        with capture_logs() as logs:
            send(order, "payment-9", notes("nowhere", 5))
            await until(lambda: order.counts.lost == 5)
            send(order, "stock", wanted)
            await inbox.until(wanted)
        assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["messages without a destination"]


@pytest.mark.parametrize("broker", ["streams"], indirect=True)
async def test_an_obstacle_of_a_stream_is_shown_as_long_as_it_lasts(broker: Running) -> None:
    url, wanted, inbox = broker.broker.urls["order-1"], notes("wanted", 5), Inbox()
    async with started(broker.link("stock-1"), inbox) as stock:
        await until(lambda: stock.up)
        with capture_logs() as logs:
            await valkey(url, "SET", "wdm:stock", "something else")
            await until(lambda: "WRONGTYPE" in stock.trouble)
            await asyncio.sleep(1.5)  # several attempts
        assert not stock.up
        assert sum("WRONGTYPE" in str(line) for line in logs) <= 2
        await valkey(url, "DEL", "wdm:stock")
        await until(lambda: stock.up and not stock.trouble)
        async with started(broker.link("order-1"), Inbox()) as order:
            send(order, "stock", wanted)
            await inbox.until(wanted)


@pytest.mark.parametrize("broker", ["streams"], indirect=True)
async def test_an_entry_that_was_deleted_while_it_was_pending_is_passed_over(broker: Running) -> None:
    url, before, after = broker.broker.urls["order-1"], notes("before", 5), notes("after", 5)
    careless, careful = Inbox(handle=None), Inbox()
    async with started(broker.link("order-1"), Inbox()) as order:
        async with started(broker.link("stock-1"), careless):
            send(order, "stock", before)
            await careless.until(before)
        async with Redis.from_url(url) as client:
            for entry, _ in await client.xrange("wdm:stock"):
                await client.xdel("wdm:stock", entry)
        async with started(broker.link("stock-1"), careful):
            send(order, "stock", after)
            await careful.until(after)
    assert not before & set(careful.notes)


@pytest.mark.parametrize("broker", ["streams"], indirect=True)
async def test_messages_that_a_broker_without_memory_refuses_leave_again(broker: Running) -> None:
    url, wanted, inbox = broker.broker.urls["order-1"], notes("refused", 5), Inbox()
    async with started(broker.link("order-1"), Inbox()) as order, started(broker.link("stock-1"), inbox) as stock:
        await until(lambda: order.up and stock.up)
        await valkey(url, "CONFIG", "SET", "maxmemory", "1")
        try:
            send(order, "stock", wanted)
            await until(lambda: "OOM" in order.trouble)
        finally:
            await valkey(url, "CONFIG", "SET", "maxmemory", "0")
        await inbox.until(wanted)


@pytest.mark.broker
@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
async def test_the_queue_of_dead_letters_is_made_again(broker: Running) -> None:
    there, url = transport(broker.kind), broker.broker.urls["order-1"]
    async with started(broker.link("stock-1"), Inbox()) as stock:
        await until(lambda: stock.up)
        await queue(url, "wdm.dead")
        await there.inject_poison(url, "stock", "late")
        await until(lambda: stock.counts.dead_lettered == 1)
        async with asyncio.timeout(20):
            while not any(letter.endswith(b"late") for letter in await there.dead_letters(url)):
                await asyncio.sleep(0.2)


@pytest.mark.broker
@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
async def test_a_queue_without_traffic_is_made_again(broker: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbitmq, "LOOK_EVERY_S", 0.2)
    url = broker.broker.urls["order-1"]
    async with started(broker.link("stock-1"), Inbox()) as stock:
        await until(lambda: stock.up)
        await queue(url, "wdm.dead")
        async with asyncio.timeout(WITHIN_S):
            while await dead_letter_count(url) is None:
                await asyncio.sleep(0.1)
        assert stock.up


@pytest.mark.parametrize("broker", ["streams"], indirect=True)
async def test_the_newest_dead_letters_of_a_stream_are_kept(broker: Running) -> None:
    url, count = broker.broker.urls["order-1"], MOST_DEAD_LETTERS + 5
    left = asyncio.get_running_loop().create_future()
    async with streams.connected(ServerAddress.parse(url), "stock-1", ()) as channel:
        for number in range(count - 1):
            channel.put_aside(str(number).encode(), "why", lambda: None)
        channel.put_aside(str(count - 1).encode(), "why", lambda: left.set_result(None))
        await asyncio.wait_for(left, WITHIN_S)
    kept = await transport("streams").dead_letters(url)
    assert list(kept) == [str(number).encode() for number in range(5, count)]


@pytest.mark.broker
@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
async def test_the_newest_dead_letters_are_kept(broker: Running) -> None:
    url, count = broker.broker.urls["order-1"], MOST_DEAD_LETTERS + 5
    await queue(url, "wdm.dead")
    async with started(broker.link("stock-1"), Inbox()) as stock:
        await until(lambda: stock.up)
    async with await connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        for number in range(count):
            await channel.default_exchange.publish(Message(str(number).encode()), "wdm.dead")
    assert await dead_letter_count(url) == MOST_DEAD_LETTERS
    kept = await transport("rabbitmq").dead_letters(url)
    assert list(kept) == [str(number).encode() for number in range(5, count)]


@pytest.mark.broker
@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
async def test_a_queue_of_dead_letters_of_an_earlier_version_is_used_as_it_is(broker: Running) -> None:
    url = broker.broker.urls["order-1"]
    await queue(url, "wdm.dead")
    async with await connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("wdm.dead", durable=True, arguments={"x-queue-type": "quorum"})
    async with started(broker.link("stock-1"), Inbox()) as stock:
        await until(lambda: stock.up)
        await transport("rabbitmq").publish(url, "stock", b"late")
        await until(lambda: stock.counts.dead_lettered == 1)
        async with asyncio.timeout(WITHIN_S):
            while await dead_letter_count(url) != 1:
                await asyncio.sleep(0.1)
    await queue(url, "wdm.dead")


async def dead_letter_count(url: str) -> int | None:
    """Return the number of dead letters; None without their queue."""
    async with await connect(url) as connection:
        channel = await connection.channel()
        try:
            return (await channel.declare_queue("wdm.dead", passive=True)).declaration_result.message_count
        except ChannelNotFoundEntity:
            return None
