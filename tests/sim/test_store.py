"""The simulated store and its connection keep the promises of the real ones."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from harness.runtimes.base import Rule
from harness.runtimes.sim.loop import VirtualLoop, run
from harness.runtimes.sim.machine import Machine
from harness.runtimes.sim.network import SimulatedNetwork
from harness.runtimes.sim.process import SimClock
from harness.runtimes.sim.server import Server
from harness.runtimes.sim.store import SimStore
from harness.runtimes.sim.world import World
from protocols.core import Command
from protocols.ports import StoreDown, StoreUnknown
from protocols.registry import load

WIRE = ("stock-1", "stock-store")
KEY = "item:0"


class Bench:
    """A store server, a client that never dies, and the link between them."""

    def __init__(self, seed: int = 1, durability: str = "everysec") -> None:
        self.loop = VirtualLoop()
        self.world = World(seed, self.loop)
        self.network = SimulatedNetwork(self.world, [WIRE])
        self.network.rough = False
        protocol = load("2pc")
        self.server = Server(self.world, "stock", 1, 0.5, protocol, protocol.configure(), durability)
        self.owner = Machine(self.world, "stock-1", "service", "stock", 2, 0.5)
        self.store = SimStore(
            self.world, self.network, WIRE, self.server, self._enter, SimClock(self.owner), 2_000, Random(seed)
        )

    def _enter(self, call: Callable[[], None]) -> None:
        call()

    @property
    def balance(self) -> int:
        return int(self.server.twin.tables[KEY]["balance"])

    async def up(self) -> None:
        self.owner.boot()
        self.server.boot()
        await self.store.call(Command("create_account", (KEY, 0, 1)))

    def play(self, play: Callable[["Bench"], "asyncio.Future[None] | object"]) -> None:
        async def whole() -> None:
            await self.up()
            await play(self)  # type: ignore[misc]

        run(self.loop, whole())


def add(bench: Bench, delta: int = 1) -> "asyncio.Task[object]":
    return asyncio.ensure_future(bench.store.once(Command("adjust", (KEY, delta))))


def test_commands_are_executed_in_the_order_of_their_submission() -> None:
    async def play(bench: Bench) -> None:
        bench.network.rough = True
        answers: list[object] = []
        for number in range(1, 200):
            bench.store.submit(Command("adjust", (KEY, 1)), answers.append)
            if number % 7 == 0:
                await asyncio.sleep(0.001)
        await asyncio.sleep(60)
        assert answers == [("ok", number) for number in range(1, 200)]

    Bench().play(play)


@pytest.mark.parametrize("seed", range(20))
def test_a_command_that_must_not_run_twice_never_does(seed: int) -> None:
    """Each is either answered, or unknown and executed at most once, or refused and never executed."""

    async def play(bench: Bench) -> None:
        rng = Random(seed)
        outcomes = {"ok": 0, "unknown": 0}
        tasks = []
        for _ in range(60):
            tasks.append(add(bench))
            await asyncio.sleep(rng.random() * 0.002)
            match rng.randrange(8):
                case 0:
                    bench.server.kill(stay_down=False)
                case 1:
                    bench.network.apply_rule("cut", [WIRE], Rule(cut=True), rng)
                case 2:
                    bench.network.remove_rules("cut", reset=rng.random() < 0.5)
        bench.network.remove_all_rules()
        for task in tasks:
            try:
                await task
                outcomes["ok"] += 1
            except StoreUnknown:
                outcomes["unknown"] += 1
            except StoreDown:
                pass
        await asyncio.sleep(5)
        assert outcomes["ok"] <= bench.balance <= outcomes["ok"] + outcomes["unknown"]
        assert outcomes["ok"]

    Bench(seed).play(play)


def test_a_killed_server_loses_nothing_and_a_power_cut_at_most_the_last_second() -> None:
    seen = set()

    async def play(bench: Bench) -> None:
        await add(bench)
        await asyncio.sleep(1.5)
        await add(bench)
        bench.server.kill(stay_down=True)
        assert bench.balance == 2
        bench.server.cut_tail(Random(len(seen)))
        left = bench.balance
        bench.server.cut_tail(Random(7))
        assert bench.balance == left, "what one cut has left is on the disk"
        seen.add(left)

    for seed in range(10):
        Bench(seed).play(play)
    assert seen == {1, 2}


def test_always_loses_nothing_that_was_answered() -> None:
    async def play(bench: Bench) -> None:
        for number in range(1, 30):
            assert await add(bench) == ("ok", number)
        lazy = add(bench)
        await asyncio.sleep(0.0012)  # perhaps executed, not answered yet
        assert not lazy.done()
        bench.server.kill(stay_down=True)
        bench.server.cut_tail(Random(3))
        assert bench.balance in (29, 30)
        with pytest.raises(StoreUnknown):
            await lazy

    Bench(durability="always").play(play)


def test_the_connection_is_made_again_after_a_reset() -> None:
    async def play(bench: Bench) -> None:
        bench.network.apply_rule("cut", [WIRE], Rule(cut=True), Random(1))
        bench.server.kill(stay_down=False)
        await asyncio.sleep(2)  # the server is back, and cannot be reached
        waiting = add(bench)
        await asyncio.sleep(0.5)
        bench.network.remove_rules("cut", reset=True)
        assert await waiting == ("ok", 1)

    Bench().play(play)


def test_repeatable_commands_to_a_paused_server_are_sent_again() -> None:
    async def play(bench: Bench) -> None:
        answers: list[object] = []
        bench.server.pause()
        bench.store.submit(Command("find_account", (KEY,)), answers.append)
        lost = add(bench)
        with pytest.raises(StoreUnknown):
            await lost
        await asyncio.sleep(3)
        bench.server.resume()
        await asyncio.sleep(1)
        assert len(answers) == 1
        assert bench.balance == 1, "the kernel of the paused server had it already"

    Bench().play(play)


@pytest.mark.parametrize(("durability", "acknowledged"), [("everysec", 2), ("always", 1)])
def test_a_full_disk_takes_what_the_store_had_in_memory_only(durability: str, acknowledged: int) -> None:
    """At `everysec` one write is acknowledged and in memory, and all others are rejected; at `always` the store ends."""

    async def play(bench: Bench) -> None:
        await add(bench)
        bench.server.fill_disk()
        results: list[object] = []
        for _ in range(3):  # each is sent again until it is accepted
            bench.store.submit(Command("adjust", (KEY, 1)), results.append)
        await asyncio.sleep(0.3)
        assert 1 + len(results) == acknowledged == bench.balance
        assert (bench.server.state == "down") == (durability == "always")
        bench.server.kill(stay_down=True)
        assert bench.balance == 1
        bench.server.free_disk()
        bench.server.revive()
        await asyncio.sleep(3)
        assert len(results) == 3
        assert bench.balance == 4 - (acknowledged - 1)

    Bench(1, durability).play(play)


def test_a_store_that_has_space_again_keeps_what_it_acknowledged() -> None:
    async def play(bench: Bench) -> None:
        bench.server.fill_disk()
        await add(bench)
        waiting = asyncio.ensure_future(
            bench.store.call(Command("adjust", (KEY, 1)))
        )  # sent again until it is accepted
        await asyncio.sleep(0.5)
        assert not waiting.done()
        bench.server.free_disk()
        await waiting
        bench.server.kill(stay_down=True)
        assert bench.balance == 2

    Bench().play(play)
