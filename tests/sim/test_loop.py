"""Virtual time: no wait takes real time, and timers fire in the order of their times and registrations."""

import asyncio
import time

import pytest

from harness.runtimes.sim.loop import Standstill, VirtualLoop, run


def test_an_hour_takes_no_time() -> None:
    loop, began = VirtualLoop(), time.monotonic()

    async def sleep() -> None:
        await asyncio.sleep(3_600)

    assert run(loop, sleep()) is False
    assert loop.time() == 3_600
    assert time.monotonic() - began < 60


def test_timers_of_one_moment_fire_in_the_order_of_their_registration() -> None:
    loop, seen = VirtualLoop(), []

    async def all_at_once() -> None:
        for number in range(100):
            loop.call_later(1.0, seen.append, number)
        cancelled = loop.call_later(1.0, seen.append, "cancelled")
        loop.call_later(0.5, cancelled.cancel)
        await asyncio.sleep(2)

    run(loop, all_at_once())
    assert seen == list(range(100))


def test_time_never_goes_back() -> None:
    loop, seen = VirtualLoop(), []

    async def schedule_in_the_past() -> None:
        await asyncio.sleep(1)
        loop.call_at(0.5, lambda: seen.append(loop.time()))
        await asyncio.sleep(1)

    run(loop, schedule_in_the_past())
    assert seen == [1.0]


def test_a_wait_without_any_pending_event_is_an_error() -> None:
    loop = VirtualLoop()

    async def wait() -> None:
        await loop.create_future()

    with pytest.raises(Standstill, match="standstill"):
        loop.run_until_complete(wait())
    loop.close()


def test_work_for_another_thread_is_done_at_once() -> None:
    async def work() -> None:
        assert await asyncio.to_thread(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)

    run(VirtualLoop(), work())


def test_ctrl_c_cancels_what_runs_and_lets_it_clean_up() -> None:
    loop, seen = VirtualLoop(), []

    def interrupt() -> None:
        raise KeyboardInterrupt

    async def work() -> None:
        loop.call_later(1, interrupt)
        try:
            await asyncio.sleep(9)
        finally:
            seen.append(loop.time())

    assert run(loop, work()) is True
    assert seen == [1.0]
