"""What a link over a broker keeps, drops and repeats, on a channel that fails on purpose; and the table of transports."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

import pytest
from structlog.testing import capture_logs

from protocols.errors import UsageError
from protocols.service import links, tasks
from protocols.service.bounded_log import LONGEST_TEXT
from protocols.service.codec import Codec
from protocols.service.links import (
    LIMIT_BYTES,
    TRANSPORTS,
    Handled,
    Transport,
    broker,
    kafka,
    outbox,
    rabbitmq,
    transport,
)
from protocols.service.links.broker import Batch, BrokerLink, BrokerLost
from protocols.service.service import countdown
from protocols.service.settings import Settings
from tests.unit.service.test_parts import ENV


@dataclass(frozen=True)
class Note:
    txn: str


CODEC = Codec((Note,))


class Failing:
    """A broker: the first ``losses`` publications arrive, and are not confirmed, for the connection is lost."""

    def __init__(self, losses: int = 0) -> None:
        self.losses = losses
        self.connects = 0
        self.arrived: list[tuple[str, list[Note]]] = []
        self.sizes: list[int] = []
        self.aside: list[tuple[bytes, str]] = []

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncIterator["Failing"]:
        self.connects += 1
        self._lost = asyncio.Event()
        yield self

    def put_aside(self, body: bytes, why: str, confirmed: Callable[[], None]) -> None:
        self.aside.append((body, why))
        asyncio.get_running_loop().call_soon(confirmed)

    def publish(self, to: str, body: bytes, confirmed: Callable[[], None]) -> None:
        self.sizes.append(len(body))
        self.arrived.append((to, CODEC.decode(body)[1]))
        if self.losses:
            self.losses -= 1
            self._lost.set()
        else:
            asyncio.get_running_loop().call_soon(confirmed)

    async def batches(self) -> AsyncIterator[Batch]:
        await asyncio.Event().wait()
        yield Batch(b"", lambda: None, lambda _: None)

    async def work(self) -> None:
        await self._lost.wait()
        raise BrokerLost("on purpose")


@contextlib.asynccontextmanager
async def link_to(failing: Failing) -> AsyncIterator[BrokerLink]:
    link = BrokerLink("order-1", CODEC, failing.channel)
    await link.start(lambda *_: None)
    try:
        yield link
    finally:
        await link.stop()


async def until_left(link: BrokerLink) -> None:
    async with asyncio.timeout(5):
        while link.waiting:
            await asyncio.sleep(0.01)


async def test_what_is_said_together_leaves_in_one_batch_for_each_destination() -> None:
    failing = Failing()
    async with link_to(failing) as link:
        await asyncio.sleep(0.01)
        for number in range(10):
            link.send("stock", Note(f"a.{number}"))
            link.send("payment", Note(f"a.{number}"))
        await until_left(link)
    assert [(to, len(notes)) for to, notes in failing.arrived] == [("stock", 10), ("payment", 10)]
    assert (link.counts.batches, link.counts.messages) == (2, 20)


async def test_what_was_not_confirmed_is_sent_again_in_order_and_first(monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_a_message_that_waits_already_is_not_queued_again_and_a_full_box_loses_what_comes_last(
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


async def test_a_connection_whose_close_ignores_cancellation_holds_nobody_up() -> None:
    over = asyncio.Event()

    async def close() -> None:
        while not over.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await over.wait()

    closing = asyncio.create_task(rabbitmq.within(0.05, close(), "close"))
    await asyncio.wait({closing}, timeout=5)
    held_up = not closing.done()
    over.set()
    assert not held_up
    with pytest.raises(TimeoutError, match="no end of close"):
        await closing


async def test_a_crew_that_is_being_ended_begins_nothing_more() -> None:
    begun: list[str] = []

    async def fail() -> None:
        raise BrokerLost("on purpose")

    async def work() -> None:
        begun.append("work")

    supervised = tasks.SupervisedTasks()
    supervised.start(fail(), "fail")
    with pytest.raises(BrokerLost):
        await supervised.wait_for_failure()
    supervised.start(work(), "late")
    await asyncio.sleep(0.01)
    assert not begun


async def test_a_stop_that_meets_the_loss_of_the_connection_is_still_a_stop() -> None:
    failing = Failing()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise BrokerLost("at the same moment") from None

    failing.work = work  # type: ignore[method-assign]
    async with link_to(failing), asyncio.timeout(5):
        await asyncio.sleep(0.05)
    assert failing.connects == 1


class Deaf(Failing):
    """What reads loses the first cancellations, as ``asyncio.wait_for`` does with one that meets its result."""

    def __init__(self, deaf_to: float) -> None:
        super().__init__(losses=1)
        self.deaf_to = deaf_to

    async def batches(self) -> AsyncIterator[Batch]:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if not self.deaf_to:
                    raise
                self.deaf_to -= 1
        yield Batch(b"", lambda: None, lambda _: None)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "CANCEL_AGAIN_S", 0.02)
    monkeypatch.setattr(tasks, "END_WITHIN_S", 0.3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("deaf_to", [1, 3, float("inf")])
async def test_a_stop_ends_though_cancellations_are_lost(deaf_to: float) -> None:
    deaf = Deaf(deaf_to)
    async with asyncio.timeout(10), link_to(deaf):
        await asyncio.sleep(0.05)
    deaf.deaf_to = 0
    await tasks.end_tasks(asyncio.all_tasks() - {asyncio.current_task()})


@pytest.mark.usefixtures("impatient")
async def test_a_lost_connection_is_followed_by_another_though_a_cancellation_is_lost() -> None:
    deaf = Deaf(deaf_to=1)
    async with link_to(deaf) as link:
        link.send("stock", Note("a.1"))
        await until_left(link)
    assert deaf.connects == 2


async def test_a_task_that_a_library_cancels_costs_the_connection_and_does_not_go_missing() -> None:
    failing = Failing()
    answer = asyncio.get_running_loop().create_future()

    async def work() -> None:
        await answer

    failing.work = work  # type: ignore[method-assign]
    async with link_to(failing):
        await asyncio.sleep(0.01)
        answer.cancel()
        async with asyncio.timeout(5):
            while failing.connects < 2:
                await asyncio.sleep(0.01)


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


async def test_messages_that_can_never_be_carried_out_are_buried_without_the_others_and_give_their_places_back() -> (
    None
):
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


async def test_an_answer_to_a_place_that_is_none_is_lost_and_costs_no_connection() -> None:
    failing = Failing()
    link = BrokerLink("stock-1", CODEC, failing.channel, kafka.routing({"order": 1}))
    link.send("injected poison", Note("a.1"))
    assert (link.waiting, link.counts.lost) == (0, 1)


async def test_what_a_broker_has_nowhere_to_put_is_lost_and_keeps_no_box() -> None:
    failing = Failing()
    failing.publish = lambda _to, _body, confirmed: confirmed(False)  # type: ignore[method-assign,assignment]
    async with link_to(failing) as link:
        for number in range(50):
            link.send(f"gone-{number}", Note("a.1"))
        await until_left(link)
    assert (link.counts.lost, link.counts.messages, failing.connects) == (50, 0, 1)
    assert not link._outboxes


class Useless(Failing):
    """A broker that can be reached and, until ``heals``, is of no use; ``when``: before a connection is there, or after."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self.when = when
        self.heals = False

    @contextlib.asynccontextmanager
    async def channel(self) -> AsyncIterator["Useless"]:
        self.connects += 1
        if self.when == "before" and not self.heals:
            raise BrokerLost("WRONGTYPE " + "x" * 10_000)
        self._lost = asyncio.Event()
        if not self.heals:
            self._lost.set()
        yield self

    async def work(self) -> None:
        await self._lost.wait()
        raise BrokerLost("NOGROUP " + "x" * 10_000)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_broker_of_no_use_is_said_once_is_tried_ever_less_often_and_shows_while_it_lasts(when: str) -> None:
    useless = Useless(when)
    with capture_logs() as said:
        async with link_to(useless) as link, asyncio.timeout(10):
            while useless.connects < 4:
                await asyncio.sleep(0.01)
            assert len(link.trouble) <= LONGEST_TEXT
            assert link.trouble
            useless.heals = True
            while not link.up or link.trouble:
                await asyncio.sleep(0.01)
    warned = [line for line in said if line["log_level"] == "warning"]
    assert len(warned) == 1 if when == "before" else 1 <= len(warned) <= 3


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
    with pytest.raises(UsageError, match=r"'pigeon'.*http, streams, rabbitmq, kafka"):
        transport("pigeon")


@pytest.mark.parametrize("name", TRANSPORTS)
def test_every_transport_makes_a_link(name: str) -> None:
    settings = replace(Settings.read(ENV), transport=name, broker_url="redis://127.0.0.1:1/0")
    link = transport(name).link(settings, CODEC)
    assert (link.waiting, link.counts) == (0, links.Counts())


def test_a_library_that_is_missing_is_named_with_how_to_get_it() -> None:
    pigeon = Transport("pigeon", "", "pigeon", "no_such_library", "wdm[pigeon]")
    with pytest.raises(UsageError, match=r"no_such_library: pip install 'wdm\[pigeon\]'"):
        pigeon.link(Settings.read(ENV), CODEC)
