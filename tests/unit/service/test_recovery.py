"""The sweep: former lives that have not quite ended, refused starts, two processes of one node."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random

import pytest
from structlog.testing import capture_logs

from harness.runtimes.sim.loop import VirtualLoop, run
from protocols.core import Command
from protocols.registry import load
from protocols.service.service import Service, ServicePorts
from protocols.service.service_process import ServiceProcess
from protocols.service.settings import Settings
from protocols.store.tables import Result
from protocols.store.twin import Twin
from tests.unit.service.test_parts import ENV

AGE = 1_700_000_000_000_000


class OneStore:
    """A twin that answers at once, and a link and a clock to go with it. It refuses the commands named in `refuses`."""

    generation = 0

    def __init__(self, name: str = "2pc", twin: Twin | None = None, process: str = "p") -> None:
        protocol = load(name)
        self.twin = twin or Twin(protocol, protocol.configure())
        self.refuses: set[str] = set()
        self.sent: list[object] = []
        self.superseded_by: list[tuple[int, int]] = []
        ports = ServicePorts(self, self, self, Random(1), self._fetch, lambda: "x", process)  # type: ignore[arg-type]
        self.service = Service("order", "order-1", protocol, protocol.configure(), ports, 10_000, log=self)

    def recovering(self, txns: Sequence[str]) -> None:
        pass

    def superseded(self, life: int, newer_life: int) -> None:
        self.superseded_by.append((life, newer_life))

    def submit(self, command: Command, then: Callable[[Result], None], refused: Callable[[str], None]) -> None:
        call_soon = asyncio.get_running_loop().call_soon
        if command.name in self.refuses:
            call_soon(refused, "ERR refused")
        else:
            call_soon(then, self.twin.run(command, self.now_us() // 1000))

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


def test_unfinished_transactions_of_a_former_life_are_recovered_and_it_begins_no_more() -> None:
    """`slow-log`: the record of a transaction was still on its way when the restarted process looked for its own."""

    async def play() -> None:
        shop = OneStore()
        shop.twin.run(Command("create_order", ("o", "u")), 0)
        life, _ = shop.twin.run(Command("enlist", ("order-1", shop.now_us() // 1000, "former")), 0)
        first, late = (Command("open", (f"order-1~{life}.{number}", "o", "order-1")) for number in range(2))
        assert shop.twin.run(first, shop.now_us() // 1000)[0] == "open"
        sweeping = asyncio.create_task(shop.service.sweep())
        await asyncio.sleep(1)
        assert not shop.twin.run(Command("list_txns"), 0)
        assert shop.twin.run(late, shop.now_us() // 1000)[0] == "busy"
        sweeping.cancel()

    run(VirtualLoop(), play())


def test_a_late_copy_of_its_first_command_does_not_supersede_a_process() -> None:
    """`zero-downtime`, saga, seed 1894: the copy of an ended connection was executed after that of the next one."""

    async def play() -> None:
        shop = OneStore()
        sent: list[Command] = []
        call = shop.call

        async def recorded(command: Command) -> Result:
            sent.append(command)
            return await call(command)

        shop.call = recorded  # type: ignore[method-assign]
        sweeping = asyncio.create_task(shop.service.sweep())
        await asyncio.sleep(1)
        first = sent[0]
        assert first.name == "enlist"
        shop.twin.run(first, 0)
        await asyncio.sleep(1)
        assert shop.superseded_by == []
        again = OneStore(twin=shop.twin, process="q")
        sweeping_again = asyncio.create_task(again.service.sweep())
        await asyncio.sleep(1)
        shop.twin.run(first, 0)
        await asyncio.sleep(1)
        assert (again.superseded_by, len(shop.superseded_by)) == ([], 1)
        sweeping.cancel()
        sweeping_again.cancel()

    run(VirtualLoop(), play())


def test_a_branch_that_waits_for_a_lock_inquires_too() -> None:
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
    assert twin.run(Command("doubts", ("", 500)), 502) == (), "each is inquired about in its turn"


@pytest.mark.parametrize(("protocol", "start"), [("saga", "begin"), ("2pc", "open"), ("lua", "checkout")])
def test_a_start_that_the_store_refuses_is_answered_at_once_and_its_place_is_free_again(
    protocol: str, start: str
) -> None:
    """Found by hand: a saga whose start record was refused waited for ever, and 1,000 of them stopped all checkouts."""

    async def play() -> None:
        shop = OneStore(protocol)
        shop.refuses.add(start)
        ids = shop.service._ids
        sweeping = asyncio.create_task(shop.service.sweep())
        await asyncio.sleep(0)
        checkout = shop.service.context.checkout
        assert checkout is not None
        begun_s = asyncio.get_running_loop().time()
        assert [(await checkout(f"order {number}", "")).outcome for number in range(3)] == [None] * 3
        assert asyncio.get_running_loop().time() - begun_s < 1, "no client waits for its time limit"
        await asyncio.sleep(1)
        assert (ids.capacity.in_use, shop.service.driver.live) == (0, 0)
        sweeping.cancel()

    run(VirtualLoop(), play())


def test_an_abandoned_transaction_keeps_its_place_as_long_as_the_store_has_a_record_of_it() -> None:
    async def play() -> None:
        shop = OneStore("2pc")
        ids = shop.service._ids
        shop.twin.run(Command("create_order", ("o", "u")), 0)
        sweeping = asyncio.create_task(shop.service.sweep())
        await asyncio.sleep(0)
        shop.refuses |= {"commit", "unfinished"}
        checkout = shop.service.context.checkout
        assert checkout is not None
        assert (await checkout("o", "")).outcome is None
        assert shop.twin.run(Command("list_txns"), 0), "the order is taken, and its end is not known"
        unfinished, before = shop.twin.run(Command("unfinished", ("order-1", 0)), 0), shop.service.driver.snapshot()
        shop.service.driver.recover(unfinished, before)
        assert ids.capacity.in_use == 1
        sweeping.cancel()

    run(VirtualLoop(), play())


def test_a_process_notices_once_that_another_one_of_its_node_has_begun() -> None:
    async def play() -> None:
        older = OneStore()
        newer = OneStore(twin=older.twin)
        sweeping = [asyncio.create_task(older.service.sweep())]
        await asyncio.sleep(1)
        assert older.superseded_by == []
        sweeping.append(asyncio.create_task(newer.service.sweep()))
        await asyncio.sleep(3)
        assert older.superseded_by == [(older.service._ids.life, newer.service._ids.life)]
        assert newer.superseded_by == []
        for task in sweeping:
            task.cancel()

    run(VirtualLoop(), play())


async def test_a_superseded_process_logs_both_lives() -> None:
    with capture_logs() as lines:
        ServiceProcess(Settings.read(ENV)).service._log.superseded(5, 7)
    (line,) = lines
    assert line["event"].startswith("superseded by another process of this node")
    assert (line["log_level"], line["life"], line["newer_life"]) == ("error", 5, 7)
