"""What a restart takes up, also when its own former life has not quite ended: bugs that the simulator found."""

import asyncio
from random import Random

from harness.runtimes.sim.loop import VirtualLoop, run
from protocols.core import Command
from protocols.ports import Result
from protocols.registry import load
from protocols.service.lua_library import Twin
from protocols.service.service import Ports, Service

AGE = 1_700_000_000_000_000


class OneStore:
    """A twin that answers at once, and a link and a clock to go with it."""

    def __init__(self) -> None:
        protocol = load("2pc")
        self.twin = Twin(protocol, protocol.configure())
        self.sent: list[object] = []
        ports = Ports(self, self, self, Random(1), self._fetch, lambda: "x")  # type: ignore[arg-type]
        self.service = Service("order", "order-1", protocol, protocol.configure(), ports, 10_000)

    def submit(self, command: Command, then: object, _refused: object = None) -> None:
        asyncio.get_running_loop().call_soon(then, self.twin.run(command, self.now_us() // 1000))  # type: ignore[arg-type]

    async def call(self, command: Command) -> Result:
        return self.twin.run(command, self.now_us() // 1000)

    def send(self, _to: str, message: object) -> None:
        self.sent.append(message)

    def now_us(self) -> int:
        return AGE + int(asyncio.get_running_loop().time() * 1e6)

    def call_later(self, after_ms: float, call: object) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(after_ms / 1000, call)  # type: ignore[arg-type]

    async def sleep(self, ms: float) -> None:
        await asyncio.sleep(ms / 1000)

    async def _fetch(self, *_: object) -> None:
        return None


def test_what_a_former_life_left_is_taken_up_and_it_begins_nothing_more() -> None:
    """`slow-log`: the record of a transaction was still on its way when the restarted process looked for its own."""

    async def play() -> None:
        shop = OneStore()
        shop.twin.run(Command("create_order", ("o", "u")), 0)
        (life,) = shop.twin.run(Command("enlist", ("order-1", 0)), shop.now_us() // 1000)
        first, late = (Command("open", (f"order-1~{life}.{number}", "o", "order-1")) for number in range(2))
        assert shop.twin.run(first, shop.now_us() // 1000)[0] == "open"
        sweeping = asyncio.create_task(shop.service.sweep())
        await asyncio.sleep(1)
        assert not shop.twin.run(Command("list_txns"), 0)
        assert shop.twin.run(late, shop.now_us() // 1000)[0] == "busy"
        sweeping.cancel()

    run(VirtualLoop(), play())


def test_a_branch_that_waits_for_a_lock_asks_too() -> None:
    """`slow-log`: its transaction was aborted and the message lost; it would have taken the lock in its turn."""
    protocol = load("2pc")
    twin = Twin(protocol, protocol.configure())
    twin.run(Command("create_account", ("item:i", 9, 1)), 0)
    changes = (("item:i", -1),)
    twin.run(Command("prepare", ("b.0", "order", "stock/0", 20, (0, 0), changes, "order-1")), 0)
    twin.run(Command("prepare", ("a.0", "order", "stock/0", 10, (0, 0), changes, "order-1")), 0)
    assert [(txn, state) for txn, state, _, _ in twin.run(Command("list_txns"), 0)] == [
        ("a.0", "queued"),
        ("b.0", "prepared"),
    ]
    assert [txn for txn, _ in twin.run(Command("doubts", ("", 500)), 501)] == ["a.0", "b.0"]
    assert twin.run(Command("doubts", ("", 500)), 502) == (), "each is asked about in its turn"
