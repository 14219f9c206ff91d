"""The promises of every link over a broker, on real brokers: at least once, acknowledged after the effect, bounded."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from protocols.service.links import LIMIT_BYTES, UNREADABLE_PREFIX, Handled, transport
from protocols.service.links.broker import MOST_BATCHES_IN
from protocols.service.links.outbox import MOST_IN_BATCH
from tests.links.conftest import CODEC, Inbox, Note, Running, drained, started

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.broker]


def notes(name: str, count: int) -> set[Note]:
    return {Note(f"{name}.{number}", "x" * (number % 7)) for number in range(count)}


class Rejecting(Inbox):
    """An inbox that rejects every other message for good."""

    def refuses(self, note: Note) -> bool:
        return int(note.txn.rpartition(".")[2]) % 2 == 1

    def __call__(self, sender: str, messages: Sequence[Note], done: Handled) -> None:
        super().__call__(
            sender, messages, lambda: done([(note, "ERR oops") for note in messages if self.refuses(note)])
        )


def send(link: object, to: str, what: set[Note]) -> None:
    for note in what:
        link.send(to, note)  # type: ignore[attr-defined]


async def test_a_service_receives_messages_and_their_sender_receives_the_answers(broker: Running) -> None:
    requests, replies = notes("requests", 50), notes("replies", 50)
    at_order, at_other, at_stock = Inbox(), Inbox(), Inbox()
    async with (
        started(broker.link("order-1"), at_order) as order,
        started(broker.link("order-2"), at_other),
        started(broker.link("stock-1"), at_stock) as stock,
    ):
        send(order, "stock", requests)
        await at_stock.until(requests)
        assert at_stock.senders == {"order-1"}
        send(stock, "order-1", replies)
        await at_order.until(replies)
    assert not set(at_other.notes) & replies


async def test_instances_share_the_work_and_each_batch_is_handled_by_one(broker: Running) -> None:
    wanted = notes("shared", 400)
    one, other = Inbox(), Inbox()
    async with (
        started(broker.link("stock-1"), one),
        started(broker.link("stock-2"), other),
        started(broker.link("order-1"), Inbox()) as order,
    ):
        for note in wanted:
            order.send("stock", note)
            await asyncio.sleep(0.001)  # many small batches
        await until(lambda: wanted <= {*one.notes, *other.notes})
    # Whoever joins takes partitions over, and what was under way meanwhile may come twice.
    assert len(set(one.notes) & set(other.notes) & wanted) < len(wanted) / 2


async def test_the_number_of_instances_may_grow(broker: Running) -> None:
    requests, replies = notes("requests of three", 40), notes("replies to the third", 40)
    at_third, at_stock, at_others = Inbox(), Inbox(), Inbox()
    async with started(broker.link("order-1"), Inbox()) as order:
        await until(lambda: order.up)  # when there were two
    async with (
        started(broker.link("order-3", instances=3), at_third) as third,
        started(broker.link("stock-3", instances=3), at_stock) as stock,
        started(broker.link("stock-1", instances=3), at_others),
    ):
        send(third, "stock", requests)
        send(stock, "order-3", replies)
        await at_third.until(replies)
        await until(lambda: requests <= {*at_stock.notes, *at_others.notes})


async def test_unhandled_batches_are_delivered_again_to_the_next_life(broker: Running) -> None:
    wanted = notes("again", 30)
    careless, careful = Inbox(handle=None), Inbox()
    async with started(broker.link("order-1"), Inbox()) as order, started(broker.link("stock-1"), careless):
        send(order, "stock", wanted)
        await careless.until(wanted)
    async with started(broker.link("stock-1"), careful):
        await careful.until(wanted)


async def test_handled_batches_are_not_delivered_again(broker: Running) -> None:
    wanted, marker = notes("once", 30), notes("marker", 1)
    first, second = Inbox(), Inbox()
    async with started(broker.link("order-1"), Inbox()) as order:
        async with started(broker.link("stock-1"), first):
            send(order, "stock", wanted)
            await first.until(wanted)
            await asyncio.sleep(0.5)  # acknowledgements leave in the background
        async with started(broker.link("stock-1"), second):
            send(order, "stock", marker)
            await second.until(marker)
    assert not set(second.notes) & wanted


async def test_poison_becomes_a_dead_letter_and_stops_no_other_message(broker: Running) -> None:
    before, after = notes("before", 20), notes("after", 20)
    inbox = Inbox()
    there, url = transport(broker.kind), broker.broker.urls["order-1"]
    async with started(broker.link("order-1"), Inbox()) as order, started(broker.link("stock-1"), inbox) as stock:
        send(order, "stock", before)
        await inbox.until(before)
        assert not await there.dead_letters(url)
        await there.inject_poison(url, "stock", "one")
        async with asyncio.timeout(20):
            while list(await there.dead_letters(url)) != [UNREADABLE_PREFIX + b"one"]:
                await asyncio.sleep(0.05)
        assert stock.counts.dead_lettered == 1
        send(order, "stock", after)
        await inbox.until(after)
    again = Inbox()
    async with started(broker.link("stock-1"), again) as stock, started(broker.link("order-1"), Inbox()) as order:
        marker = notes("after the burial", 1)
        send(order, "stock", marker)
        await again.until(marker)
        assert stock.counts.dead_lettered == 0
    assert list(await there.dead_letters(url)) == [UNREADABLE_PREFIX + b"one"], "to look at it changes nothing"


async def test_rejected_messages_become_dead_letters_alone_and_return_their_places(
    broker: Running,
) -> None:
    there, url = transport(broker.kind), broker.broker.urls["order-1"]
    wanted, inbox = notes("partly rejected", 3 * MOST_BATCHES_IN), Rejecting()
    odd, dead = {note for note in wanted if inbox.refuses(note)}, set[Note]()
    async with started(broker.link("order-1"), Inbox()) as order, started(broker.link("stock-1"), inbox) as stock:
        for note in sorted(wanted, key=str):
            order.send("stock", note)
            await drained(order)  # a batch each
        await inbox.until(wanted)
        async with asyncio.timeout(20):
            while not odd <= dead:
                rejected = [letter for letter in await there.dead_letters(url) if b"partly rejected" in letter]
                dead = {note for letter in rejected for note in CODEC.decode(letter)[1]}
                await asyncio.sleep(0.05)
        assert stock.counts.dead_lettered >= len(odd)
    assert dead == odd


async def test_a_slow_consumer_takes_a_bounded_amount_and_finally_everything(broker: Running) -> None:
    wanted = notes("slow", 4 * MOST_BATCHES_IN)
    waiting: list[Callable[[], None]] = []
    slow = Inbox(handle=waiting.append)
    async with started(broker.link("order-1"), Inbox()) as order, started(broker.link("stock-1"), slow):
        for note in wanted:
            order.send("stock", note)
            await drained(order)  # a batch each
        await until(lambda: slow.batches >= MOST_BATCHES_IN)
        await asyncio.sleep(0.3)
        assert slow.batches == MOST_BATCHES_IN
        while not wanted <= set(slow.notes):
            assert len(waiting) <= MOST_BATCHES_IN
            for done in waiting[:]:
                waiting.remove(done)
                done()
            await asyncio.sleep(0.02)


async def test_messages_sent_while_the_broker_is_down_leave_when_it_is_back(broker: Running) -> None:
    early, late = notes("early", 500), notes("late", 500)
    inbox = Inbox()
    async with started(broker.link("order-1"), Inbox()) as order:
        send(order, "stock", early)
        await drained(order)  # confirmed: no crash may lose it
        if broker.kind == "rabbitmq":
            await asyncio.sleep(4)  # the first term of a new quorum queue is written late: see links/rabbitmq.py
        broker.kill()
        send(order, "stock", late)
        await asyncio.sleep(0.5)
        await broker.restart()
        async with started(broker.link("stock-1"), inbox):
            await inbox.until(early | late)
    assert order.counts.lost == 0


async def test_large_messages_arrive_in_batches_that_fit_and_one_that_never_fits_is_a_dead_letter(
    broker: Running,
) -> None:
    wanted, never = {Note(f"large.{number}", "x" * 100_000) for number in range(30)}, Note("never", "x" * LIMIT_BYTES)
    there, url = transport(broker.kind), broker.broker.urls["order-1"]
    before, inbox = len(await there.dead_letters(url)), Inbox()
    async with started(broker.link("order-1"), Inbox()) as order, started(broker.link("stock-1"), inbox):
        send(order, "stock", {never})
        send(order, "stock", wanted)
        await inbox.until(wanted)
        await drained(order)
        assert (order.counts.dead_lettered, order.counts.lost) == (1, 0)
    assert never not in inbox.notes
    (letter,) = (await there.dead_letters(url))[before:]
    assert b"never" in letter[:100]
    assert len(letter) < LIMIT_BYTES


@pytest.mark.slow
async def test_ten_thousand_queued_messages_outlast_a_restart_of_the_broker(broker: Running) -> None:
    wanted = notes("many", 10_000)
    inbox = Inbox()
    async with started(broker.link("order-1"), Inbox()) as order:
        for at, note in enumerate(wanted):
            order.send("stock", note)
            if at % MOST_IN_BATCH == 0:
                await drained(order)
        await drained(order)
        await broker.restart()
    async with started(broker.link("stock-1"), inbox):
        await inbox.until(wanted)


async def until(happened: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = asyncio.get_running_loop().time() + within_s
    while not happened():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)
