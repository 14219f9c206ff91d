"""The messages that a link over a broker keeps, drops and repeats, on a channel that fails on purpose; and the transports."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from protocols.errors import UsageError
from protocols.service import links
from protocols.service.links import (
    LIMIT_BYTES,
    TRANSPORTS,
    Handled,
    Transport,
    broker,
    kafka,
    outbox,
    transport,
)
from protocols.service.links.broker import Batch, BrokerLink
from protocols.service.service import countdown
from protocols.service.settings import Settings
from tests.unit.service.fake_broker import CODEC, Failing, Note, link_to, until_left
from tests.unit.service.test_parts import ENV


async def test_messages_of_one_turn_leave_in_one_batch_for_each_destination() -> None:
    failing = Failing()
    async with link_to(failing) as link:
        await asyncio.sleep(0.01)
        for number in range(10):
            link.send("stock", Note(f"a.{number}"))
            link.send("payment", Note(f"a.{number}"))
        await until_left(link)
    assert [(to, len(notes)) for to, notes in failing.arrived] == [("stock", 10), ("payment", 10)]
    assert (link.counts.batches, link.counts.messages) == (2, 20)


async def test_unconfirmed_messages_are_sent_again_in_order_and_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST_IN_BATCH", 2)
    monkeypatch.setattr(broker, "MOST_BATCHES_OUT", 1)
    monkeypatch.setattr(broker, "RECONNECT_MS", 10.0)
    failing = Failing(losses=2)
    wanted = [Note(f"a.{number}") for number in range(6)]
    async with link_to(failing) as link:
        for note in wanted:
            link.send("stock", note)
        await until_left(link)
    assert failing.connects == 3
    assert [note for _, notes in failing.arrived[2:] for note in notes] == wanted
    assert failing.arrived[0] == failing.arrived[1] == failing.arrived[2] == ("stock", wanted[:2])


async def test_a_waiting_message_is_not_queued_twice_and_a_full_outbox_loses_the_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker, "MOST_WAITING", 3)
    link = BrokerLink("order-1", CODEC, Failing().channel)
    for number in (0, 1, 0, 2, 1, 3, 2):
        link.send("stock", Note(f"a.{number}"))
    assert (link.waiting, link.counts.lost) == (3, 1)


async def test_a_batch_is_cut_below_the_limit_and_keeps_its_order() -> None:
    failing, wanted = Failing(), [Note(f"{number}".ljust(100_000, "x")) for number in range(30)]
    async with link_to(failing) as link:
        for note in wanted:
            link.send("stock", note)
        await until_left(link)
    assert max(failing.sizes) <= LIMIT_BYTES
    assert [note for _, notes in failing.arrived for note in notes] == wanted
    assert link.counts.messages == 30


async def test_a_message_beyond_the_limit_is_one_dead_letter_however_often_it_is_sent_and_stops_no_other() -> None:
    failing, large, small = Failing(), Note("a." + "x" * LIMIT_BYTES), Note("a.1")
    async with link_to(failing) as link:
        for _ in range(3):
            for note in (large, small):
                link.send("stock", note)
            await until_left(link)
    ((body, why),) = failing.aside
    assert len(body) == broker.HEAD_BYTES
    assert re.search(rf"Note to stock has \d+ bytes, {LIMIT_BYTES} are allowed", why)
    assert [notes for _, notes in failing.arrived] == [[small]] * 3
    assert (link.counts.dead_lettered, link.counts.lost) == (1, 2)


class Delivering(Failing):
    """A broker that delivers ``bodies``, and notes what becomes of each."""

    def __init__(self, *bodies: bytes) -> None:
        super().__init__()
        self.bodies = bodies
        self.done = 0

    def _finish(self) -> None:
        self.done += 1

    async def batches(self) -> AsyncIterator[Batch]:
        for body in self.bodies:
            yield Batch(body, self._finish, lambda _: None)
        await asyncio.Event().wait()


def reject_odd(_: str, messages: Sequence[Note], handled: Handled) -> None:
    handled([(note, "ERR oops") for note in messages if int(note.txn) % 2])


async def test_rejected_messages_become_dead_letters_alone_and_return_their_places() -> None:
    batches = [[Note(str(number)), Note(str(number + 1))] for number in range(0, 8 * broker.MOST_BATCHES_IN, 2)]
    delivering = Delivering(*(CODEC.encode("order-1", batch) for batch in batches))
    link = BrokerLink("stock-1", CODEC, delivering.channel)
    await link.start(reject_odd)
    async with asyncio.timeout(5):
        while delivering.done < len(batches):
            await asyncio.sleep(0.01)
    await link.stop()
    assert delivering.aside == [(CODEC.encode("order-1", [odd]), "ERR oops") for _, odd in batches]
    assert link.counts.dead_lettered == link.dead.count == len(batches)


async def test_an_answer_to_an_unknown_destination_is_lost_and_costs_no_connection() -> None:
    failing = Failing()
    link = BrokerLink("stock-1", CODEC, failing.channel, kafka.routing({"order": 1}))
    link.send("injected poison", Note("a.1"))
    assert (link.waiting, link.counts.lost) == (0, 1)


async def test_a_message_without_a_queue_is_lost_and_keeps_no_outbox() -> None:
    failing = Failing()
    failing.publish = lambda _to, _body, confirmed: confirmed(False)  # type: ignore[method-assign,assignment]
    async with link_to(failing) as link:
        for number in range(50):
            link.send(f"gone-{number}", Note("a.1"))
        await until_left(link)
    assert (link.counts.lost, link.counts.messages, failing.connects) == (50, 0, 1)
    assert not link._outboxes


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_countdown_calls_once(count: int) -> None:
    called: list[int] = []
    once = countdown(count, lambda: called.append(count))
    for left in range(count, 0, -1):
        assert not called, left
        once()
    assert called == [count]


# ---------------------------------------------------------------- the table


def test_an_unknown_transport_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'pigeon'.*http, tcp, streams, rabbitmq, kafka"):
        transport("pigeon")


@pytest.mark.parametrize("name", TRANSPORTS)
def test_every_transport_makes_a_link(name: str) -> None:
    settings = replace(Settings.read(ENV), transport=name, broker_url="redis://127.0.0.1:1/0")
    link = transport(name).link(settings, CODEC)
    assert (link.waiting, link.counts) == (0, links.MessageCounts())


def test_a_library_that_is_missing_is_named_with_how_to_get_it() -> None:
    pigeon = Transport("pigeon", "", "pigeon", "no_such_library", "wdm[pigeon]")
    with pytest.raises(UsageError, match=r"no_such_library: pip install 'wdm\[pigeon\]'"):
        pigeon.link(Settings.read(ENV), CODEC)
