"""Stores with three copies in the simulator: replication as that of a real server, the real elector, and faults of both."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from harness.runtimes.sim.copy_server import CopyServer, ServerSession
from harness.runtimes.sim.simulation import Simulation
from protocols.copies import COPIES
from protocols.core import Command
from tests.sim.conftest import examined, simulate

KEY = "item:0"
PLAY = Callable[[Simulation], Coroutine[Any, Any, None]]


def copies_of(shop: Simulation, primary: str = "") -> tuple[CopyServer, CopyServer, CopyServer]:
    """Return the copies of the only store, the primary first."""
    primary = primary or shop.primaries()["order-store"]
    one, other, third = sorted(shop._stores["order"].copies, key=lambda copy: (copy.name != primary, copy.name))
    return one, other, third


def write(copy: CopyServer, value: int = 1, session: ServerSession | None = None) -> Any:
    return copy.execute(Command("create_account", (KEY, value, 1)), 0, session)


async def confirmed(copy: CopyServer, session: ServerSession) -> int | None:
    """Return the reply to a WAIT of the connection."""
    reply: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    copy.wait(session, 0.5, reply.set_result)
    return await reply


async def replaced(shop: Simulation, before: str) -> None:
    while shop.primaries().get("order-store", before) == before:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)  # the others follow it


def play_lua(play: PLAY) -> None:
    async def once_all_follow(shop: Simulation) -> None:
        await asyncio.sleep(1.0)
        await play(shop)

    simulate(once_all_follow, protocol="lua", copies=COPIES)


def test_a_write_is_on_every_copy_and_a_follower_refuses_it() -> None:
    async def play(shop: Simulation) -> None:
        primary, *followers = copies_of(shop)
        session = ServerSession()
        assert write(primary, 7, session) is not None
        assert await confirmed(primary, session) == 1
        await asyncio.sleep(0.1)
        assert [copy.tables[KEY]["balance"] for copy in (primary, *followers)] == [7, 7, 7]
        assert write(followers[0]) is None
        assert await confirmed(followers[0], ServerSession()) is None

    play_lua(play)


def test_wait_asks_for_the_last_write_of_its_connection_and_not_for_a_read() -> None:
    async def play(shop: Simulation) -> None:
        primary, *followers = copies_of(shop)
        for follower in followers:
            follower.pause()
        reader, writer = ServerSession(), ServerSession()
        write(primary, 1, writer)
        assert primary.execute(Command("list_txns"), 0, reader) == ()
        assert await confirmed(primary, reader) == 2, "both copies are connected, and that is all it asks"
        assert await confirmed(primary, writer) == 0

    play_lua(play)


def test_a_copy_whose_history_is_a_beginning_of_the_primarys_continues_it() -> None:
    async def play(shop: Simulation) -> None:
        primary, follower, _ = copies_of(shop)
        follower.detach()
        write(primary, 3)
        shop.world.trace.add("test", "again")
        follower.follow(primary.name)
        await asyncio.sleep(0.4)
        assert follower.tables[KEY]["balance"] == 3
        assert not copied_whole(shop)
        shop.kill(follower.name)
        await asyncio.sleep(1.5)
        assert copied_whole(shop) == [follower.name], "a restart forgets the place in the stream"

    play_lua(play)


def copied_whole(shop: Simulation) -> list[str]:
    """Return the servers that became whole copies, since the trace's last line of the test."""
    lines = [(node, event) for _, node, event in shop.world.trace.lines()]
    since = max(at for at, (node, _) in enumerate(lines) if node == "test")
    return [node for node, event in lines[since:] if event.startswith("copied whole")]


def test_a_former_primary_loses_what_nobody_confirmed() -> None:
    async def play(shop: Simulation) -> None:
        old, *_ = copies_of(shop)
        old.pause()
        await replaced(shop, old.name)
        new = copies_of(shop)[0]
        write(new, 5)
        old.resume()
        session = ServerSession()
        assert write(old, 9, session) is not None, "it does not know yet that it was replaced"
        assert not await confirmed(old, session)
        await asyncio.sleep(1.0)
        assert (old.follows, old.tables[KEY]["balance"]) == (new.name, 5)

    play_lua(play)


def test_the_next_hold_ends_the_one_before_with_its_commands() -> None:
    async def play(shop: Simulation) -> None:
        copy = copies_of(shop)[1]
        first, second = copy.connect_elector(), copy.connect_elector()
        copy.take(first)
        assert (first.alive, second.alive) == (True, False)
        copy.take(third := copy.connect_elector())
        assert (first.alive, third.alive) == (False, True)

    play_lua(play)


def test_a_server_starts_as_a_follower_of_nobody_whatever_it_was_when_it_promised() -> None:
    """A server writes down its role with each promise: a primary that was elected twice came back empty as a primary."""

    async def play(shop: Simulation) -> None:
        for _ in range(2):
            old = copies_of(shop)[0]
            shop.kill(old.name)
            await replaced(shop, old.name)
        primary, *followers = copies_of(shop)
        write(primary, 4)
        await asyncio.sleep(0.3)
        for copy in (primary, *followers):
            shop.kill(copy.name, stay_down=True)
            shop.revive(copy.name)
            while copy.state != "running":
                await asyncio.sleep(0.001)
            assert (copy.primary, copy.follows) == (False, "")
            await asyncio.sleep(2.0)

    play_lua(play)


def test_a_primary_that_comes_back_empty_is_filled_by_its_successor() -> None:
    async def play(shop: Simulation) -> None:
        old = copies_of(shop)[0]
        session = ServerSession()
        write(old, 6, session)
        assert await confirmed(old, session)
        shop.kill(old.name, stay_down=True)
        assert "lost all" in await shop.empty_store(old.name)
        shop.revive(old.name)
        await replaced(shop, old.name)
        assert [copy.tables[KEY]["balance"] for copy in copies_of(shop)] == [6, 6, 6]

    play_lua(play)


def test_a_second_elector_is_no_node_and_ends_with_its_fault() -> None:
    async def play(shop: Simulation) -> None:
        names = [node.name for node in shop.nodes()]
        await shop.start_elector()
        await asyncio.sleep(2.0)
        assert [node.name for node in shop.nodes()] == names
        assert copies_of(shop)[0].primary
        await shop.heal()
        assert shop._second_elector is not None
        assert shop._second_elector.state == "down"

    play_lua(play)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["2pc", "saga", "lua"])
@pytest.mark.parametrize("scenario", ["failover", "split-bundle"])
def test_nothing_confirmed_is_lost_and_a_seed_takes_the_same_course(scenario: str, protocol: str) -> None:
    runs = [examined(scenario, protocol, seed=3) for _ in range(2)]
    assert {str(run.judgement.verdict) for run in runs} == {"holds"}
    assert len({run.digest for run in runs}) == 1


def test_a_failover_takes_the_same_course_again() -> None:
    runs = [examined("failover", "lua", seed=2) for _ in range(2)]
    assert len({run.digest for run in runs}) == 1
    assert str(runs[0].judgement.verdict) == "holds"
