"""Work that runs beside other work: each kind of it is killed here once, and its end is reported and repaired."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import EnvironmentFailure
from harness.runtimes.base import Rule
from harness.runtimes.deployment.process_faults import ProcessFaultInjector
from harness.runtimes.docker.container import Container, ContainerLife
from harness.runtimes.docker.network_controller import NetworkController
from harness.runtimes.network.proxy import Proxy
from harness.runtimes.sim.loop import VirtualLoop, run
from protocols.ports import LoopClock
from protocols.service import tasks
from protocols.service.checkout_retrier import CheckoutRetrier
from protocols.service.faults import Faults
from protocols.service.links.broker import BrokerLink
from protocols.service.links.http import HttpLink
from protocols.service.service_process import ServiceProcess
from protocols.service.settings import Settings
from protocols.service.store import ValkeyStore
from protocols.service.tasks import Background, SupervisedTasks
from protocols.service.transaction_ids import TransactionIds
from protocols.service.valkey_connection import ServerAddress
from tests.unit.service.fake_broker import CODEC, Failing, Note, until_left
from tests.unit.service.test_parts import ENV


async def until(true: Callable[[], object], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.005)


class Dying:
    """Work that fails `times` times, and then goes on."""

    def __init__(self, times: int, error: BaseException | None = None) -> None:
        self.lives = 0
        self._times = times
        self._error = error or RuntimeError("killed")

    async def __call__(self, *_: Any) -> None:
        self.lives += 1
        if self.lives <= self._times:
            raise self._error
        await asyncio.Event().wait()


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What services log as errors."""
    words: list[str] = []
    for module in ("store", "service_process", "links.http", "links.broker"):
        monkeypatch.setattr(f"protocols.service.{module}.log.error", words.append, raising=False)
    return words


# ---------------------------------------------------------------- the mechanism


def in_virtual_time(play: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run(VirtualLoop(), play())


def test_kept_work_begins_again_ever_later_and_reports_each_reason_once() -> None:
    async def play() -> None:
        words: list[str] = []
        work, background = Dying(10**6), Background(words.append)
        background.keep(work, "work")
        await asyncio.sleep(600)
        assert 600 / (tasks.LONGEST_RESTART_MS / 1000) < work.lives < 600 / (tasks.LONGEST_RESTART_MS / 1000) + 20
        assert len(words) == 1
        assert words[0].startswith("work failed with RuntimeError: killed (test_background.py:")
        await background.stop()

    in_virtual_time(play)


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), ValueError("no")], ids=["somebody else's cancel", "defect"]
)
def test_only_stop_ends_kept_work(error: BaseException) -> None:
    async def play() -> None:
        words: list[str] = []
        work, background = Dying(1, error), Background(words.append)
        task = background.keep(work, "work")
        await asyncio.sleep(60)
        assert work.lives == 2
        assert len(words) == 1
        assert not task.done()
        await background.stop()
        assert task.cancelled()

    in_virtual_time(play)


def test_an_end_without_an_error_is_one_too() -> None:
    async def play() -> None:
        lives: list[int] = []
        background = Background(lambda _: None)

        async def work() -> None:
            lives.append(1)

        background.keep(work, "work")
        await asyncio.sleep(1)
        assert len(lives) > 1
        await background.stop()

    in_virtual_time(play)


def test_without_a_reporter_the_loop_receives_a_failure_at_once() -> None:
    async def play() -> None:
        received: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: received.append(context["exception"]))
        background = Background()
        task = background.run(Dying(1)(), "work")
        await asyncio.sleep(0.1)
        assert [str(error) for error in received] == ["killed"]
        assert background.failure is task.exception()

    in_virtual_time(play)


def test_a_failed_supervised_task_ends_the_work_beside_it_with_its_failure() -> None:
    async def play() -> None:
        supervised, ended = SupervisedTasks(), asyncio.Event()

        async def main() -> None:
            try:
                await asyncio.sleep(3_600)
            finally:
                ended.set()

        async def fail() -> None:
            await asyncio.sleep(1)
            raise RuntimeError("killed")

        supervised.start(fail(), "watch")
        supervised.start(Dying(0)(), "other")
        with pytest.raises(RuntimeError, match="killed"):
            await supervised.run_beside(main())
        assert ended.is_set()
        assert asyncio.get_running_loop().time() < 10

    in_virtual_time(play)


def test_the_end_of_work_ends_the_supervised_tasks_and_a_cancellation_stays_one() -> None:
    async def play() -> None:
        supervised = SupervisedTasks()
        supervised.start(Dying(0)(), "watch")
        assert await supervised.run_beside(asyncio.sleep(1, "result")) == "result"
        supervised = SupervisedTasks()
        supervised.start(Dying(0)(), "watch")
        whole = tasks.start_task(supervised.run_beside(asyncio.sleep(3_600)), "whole")
        await asyncio.sleep(1)
        whole.cancel()
        with pytest.raises(asyncio.CancelledError):
            await whole
        assert len(asyncio.all_tasks()) == 1

    in_virtual_time(play)


# ---------------------------------------------------------------- in a service


async def test_a_store_connects_again_after_any_error(logged: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    async def connect(*_: object) -> Any:
        tries.append(1)
        raise RuntimeError("killed")

    monkeypatch.setattr("protocols.service.store.ValkeyConnection.open", connect)
    store = ValkeyStore(ServerAddress("127.0.0.1", 1), "", LoopClock(), 100)
    store.start()
    await until(lambda: len(tries) == 3)
    await store.stop()
    assert len(logged) == 1
    assert "store connection failed with RuntimeError: killed" in logged[0]


async def test_a_sweep_goes_on_after_any_error(logged: list[str]) -> None:
    node, sweep = ServiceProcess(Settings.read(ENV)), Dying(2)
    node.service.sweep = sweep  # type: ignore[method-assign]
    await node.start()
    await until(lambda: sweep.lives == 3)
    await node.stop(0)
    assert len([words for words in logged if words.startswith("sweep failed with RuntimeError: killed")]) == 1


async def test_a_defect_costs_one_batch_and_never_the_messages_behind_it(
    logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    link, posted = HttpLink("", {}, {}, "s", CODEC), []

    async def post(_: Any, _count: int, batch: bytes) -> None:
        posted.append([note.txn for note in CODEC.decode(batch)[1]])
        if len(posted) < 3:
            raise RuntimeError("killed")

    monkeypatch.setattr(link, "_post", post)
    monkeypatch.setattr("protocols.service.links.http.MOST_IN_BATCH", 1)
    for number in range(4):
        link.send("http://127.0.0.1:1", Note(f"a.{number}"))
    await until(lambda: len(posted) == 4)
    await until(lambda: not any(peer.requests for peer in link._peers))
    await link.stop()
    assert posted == [["a.0"], ["a.1"], ["a.2"], ["a.3"]]
    assert len(logged) == 1


async def test_a_link_over_a_broker_lives_on_after_any_error(logged: list[str]) -> None:
    failing, opened = Failing(), []

    def channel() -> Any:
        opened.append(1)
        if len(opened) < 3:
            raise RuntimeError("killed")
        return failing.channel()

    link = BrokerLink("order-1", CODEC, channel)
    await link.start(lambda *_: None)
    link.send("stock", Note("a.1"))
    await until_left(link)
    await link.stop()
    assert len(logged) == 1


async def test_retries_that_fail_are_unknown_for_every_waiting_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "protocols.service.checkout_retrier.MOST_ATTEMPTS", 0
    )  # so there is no first attempt without a task
    received: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: received.append(context["exception"]))
    ids = TransactionIds("p")
    ids.enlist(1)
    retrier = CheckoutRetrier("order", "order-1", SimpleNamespace(), ids, LoopClock(), Random(1), 500)  # type: ignore[arg-type]
    retrier._attempt_in_turn = Dying(9)  # type: ignore[assignment]
    left, stays = (tasks.start_task(retrier.run("o"), name) for name in ("left", "stays"))
    await asyncio.sleep(0)
    left.cancel()
    async with asyncio.timeout(5):
        assert (await stays).outcome is None
    assert [str(error) for error in received] == ["killed"]
    assert not retrier._under_way


# ---------------------------------------------------------------- around the shop


async def test_orders_to_the_network_of_containers_go_on_and_settled_says_what_was_not_done() -> None:
    controller = NetworkController((), (), "s")
    await controller.start()
    controller._send = Dying(9)  # type: ignore[method-assign]
    for _ in range(2):
        controller.apply_rule("test", (), Rule(cut=True), Random(1))
        with pytest.raises(EnvironmentFailure, match="killed"):
            await controller.settled()
    await controller.stop()


async def test_a_process_that_refuses_late_is_named_by_the_heal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken for one that has received its faults, because no code looked at the end of the task any more."""
    monkeypatch.setattr("harness.runtimes.deployment.process_faults.ANSWER_WITHIN_S", 0.01)
    refuses = asyncio.Event()

    async def deliver(name: str) -> None:
        await refuses.wait()
        raise EnvironmentFailure(f"{name} refused")

    inside = ProcessFaultInjector(lambda _: SimpleNamespace(injected={}), "s")  # type: ignore[arg-type, return-value]
    monkeypatch.setattr(inside, "_deliver", deliver)
    await inside.disturb("test", ["order-1"], Faults(duplicate=1.0))
    inside._wanted.clear()
    refuses.set()
    await until(lambda: not inside._deliveries)
    with pytest.raises(EnvironmentFailure, match="order-1 refused"):
        await inside.heal()
    await inside.stop()


async def test_a_connection_whose_other_half_fails_is_reset_and_not_left_hanging() -> None:
    received: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: received.append(context["exception"]))
    proxy = Proxy()
    port = proxy.add("a", "b", 1)
    await proxy.start()
    proxy._links["a", "b"]._to = ("127.0.0.1", "no", "such", "address")  # type: ignore[assignment]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
    writer.close()
    assert len(received) == 1
    await proxy.stop()


async def test_an_order_to_a_container_that_fails_is_trouble() -> None:
    container = Container(SimpleNamespace(name="c"), probed_by_http=False, inner_port="", reads_environment_file=False)
    container.order("no such method")
    await container.settled()
    await until(lambda: container.trouble)
    assert "AttributeError" in container.take_trouble()[0]
    container.close()


async def test_a_thread_that_listens_to_a_container_and_fails_ends_its_life_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = Container(
        SimpleNamespace(name="c", wait=lambda: 1 / 0), probed_by_http=False, inner_port="", reads_environment_file=False
    )
    life = ContainerLife(container, asyncio.get_running_loop())
    node_spec = SimpleNamespace(name="c", log=tmp_path / "log")
    monkeypatch.setattr("harness.runtimes.docker.container.close_stream", lambda _: None)
    await asyncio.to_thread(life._follow, node_spec, [b"hello"])
    async with asyncio.timeout(5):
        await life.over()
    assert "division by zero" in container.take_trouble()[0]
    container.close()
