"""The connection of a link to a broker: lost, of no use, or stuck; and the end of the tasks that serve it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from protocols.service import bounded_log, tasks
from protocols.service.bounded_log import LONGEST_TEXT
from protocols.service.links import (
    rabbitmq,
)
from protocols.service.links.broker import Batch, BrokerLost
from tests.unit.service.fake_broker import Failing, Note, link_to, until_left


async def test_a_connection_whose_close_ignores_cancellation_is_left_to_itself() -> None:
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


async def test_supervised_tasks_that_are_being_ended_start_no_more() -> None:
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


@pytest.mark.parametrize("when", ["before", pytest.param("after", marks=pytest.mark.slow)])
async def test_a_broker_of_no_use_is_logged_once_tried_ever_less_often_and_shown_while_it_lasts(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if when == "before":
        monkeypatch.setattr(bounded_log, "EVERY_S", 0.0)  # whose bound would hide that each attempt has its line
    useless = Useless(when)
    with capture_logs() as logs:
        async with link_to(useless) as link, asyncio.timeout(10):
            while useless.connects < 4:
                await asyncio.sleep(0.01)
            assert len(link.trouble) <= LONGEST_TEXT
            assert link.trouble
            useless.heals = True
            while not link.up or link.trouble:
                await asyncio.sleep(0.01)
    warned = [line for line in logs if line["log_level"] == "warning"]
    assert len(warned) == 1 if when == "before" else 1 <= len(warned) <= 3
