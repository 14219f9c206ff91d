"""Requests of clients: decided by the seed, judged by the checkers, and robust against any answer."""

import asyncio
from collections import Counter
from random import Random

import pytest

from harness.checkers import Verdict, judge
from harness.checkers.sets import find_sets
from harness.history import Event, FileRecorder, Header, History, Operation, RecordedClaims, load
from harness.run.load import ClientPool, SetupFailed, set_up
from harness.run.quiescence import Names
from harness.workload import WORKLOADS
from harness.workload.base import Call, Shop, Workload, call, stream
from harness.workload.client import ShopClient
from harness.workload.session import Session
from harness.workload.sets import BITS, Sets
from tests.chaos.fakes import Model, Server

HEADER = Header(
    protocol="2pc",
    claims=RecordedClaims(atomicity="atomic", isolation="strict-serializable", durability="always", recovery_s=2),
    scenario="test",
    workload="test",
    durability="always",
    runtime="fake",
    seed=1,
)
ANSWERED = {"create_user": "user_id", "create_item": "item_id", "create_order": "order_id"}


class Notes:
    """The requests of a workload to a correct shop, one at a time, as a history."""

    def __init__(self, model: Model | None = None) -> None:
        self.model = model or Model()
        self.operations: list[Operation] = []
        self.calls: list[Call] = []
        self.names = Names()
        self.now = 0

    def perform(self, process: int, request: Call) -> Operation:
        status, body = self.model.answer(request)
        value = body[ANSWERED[request.op]] if request.op in ANSWERED else dict(body) if isinstance(body, dict) else body
        self.now += 2
        outcome = "ok" if status == 200 else "fail"
        done = Operation(process, request.op, list(request.args), self.now, self.now + 1, outcome, value)
        self.operations.append(done)
        self.calls.append(request)
        self.names(done)
        return done

    def set_up(self, workload: Workload, seed: int) -> Shop:
        rounds = workload.setup(stream(seed, "workload:setup"))
        try:
            calls = next(rounds)
            while True:
                calls = rounds.send([self.perform(0, one) for one in calls])
        except StopIteration as end:
            shop: Shop = end.value
            return shop

    def play(self, workload: Workload, seed: int, steps: int) -> None:
        """Each client in turn, one step at a time."""
        shop = self.set_up(workload, seed)
        clients = [workload.client(shop, n, stream(seed, f"workload:{n}")) for n in range(workload.clients)]
        requests = {number: next(client) for number, client in enumerate(clients)}
        for step in range(steps):
            number = step % len(clients)
            if number in requests:
                try:
                    requests[number] = clients[number].send(self.perform(number + 1, requests[number]))
                except StopIteration:
                    del requests[number]

    def read_all(self) -> int:
        """Returns when the final phase began."""
        began = self.now + 1
        for read in self.names.reads():
            self.perform(0, read)
        return began


@pytest.fixture(params=list(WORKLOADS))
def workload(request: pytest.FixtureRequest) -> Workload:
    return WORKLOADS[request.param]()


def test_a_seed_and_the_same_answers_give_the_same_requests(workload: Workload) -> None:
    one, same, other = Notes(), Notes(), Notes()
    one.play(workload, 7, 400)
    same.play(workload, 7, 400)
    other.play(workload, 8, 400)
    assert one.calls == same.calls
    assert one.calls != other.calls


def test_a_correct_shop_is_found_correct_and_one_that_forgets_is_not(workload: Workload) -> None:
    for forgets, verdict in ((False, Verdict.HOLDS), (True, Verdict.VIOLATED)):
        notes = Notes(Model(forgets=forgets))
        notes.play(workload, 3, 500)
        final = notes.read_all()
        events = [
            event("phase", final, name="final"),
            event("healed", final),
            event("probe", final, open=0),
        ]
        judgement = judge(History(HEADER, notes.operations, events))
        assert judgement.verdict == verdict, judgement.reasons


def event(kind: str, at_ns: int, **data: object) -> Event:
    return Event(kind, at_ns, dict(data))


def test_every_kind_of_request_is_sent(workload: Workload) -> None:
    notes = Notes()
    notes.play(workload, 5, 2_000)
    sent = Counter(request.op for request in notes.calls)
    assert sent["checkout"] > 100
    outcomes = Counter(one.outcome for one in notes.operations if one.op == "checkout")
    assert outcomes["ok"] > 50
    if type(workload).__name__ in {"Checkout", "Retry", "HotItem"}:
        assert outcomes["fail"] > 10


@pytest.mark.parametrize("seed", range(10))
def test_the_amounts_of_sets_determine_which_checkouts_a_balance_has(seed: int) -> None:
    notes = Notes()
    notes.play(Sets(users=6, items=6, checkouts=20), seed, 1_500)
    found = find_sets(History(HEADER, notes.operations))
    assert found is not None
    assert (found.keys > 6, found.skipped) == (True, [])


def test_no_amount_of_sets_is_used_twice_or_too_large() -> None:
    workload = Sets(users=5, items=5, checkouts=BITS)
    shop = Shop([f"u{n}" for n in range(5)], [f"i{n}" for n in range(5)], [1] * 5)
    used: dict[str, list[int]] = {}
    for user, lines in workload.plan(shop, Random(1)):
        used.setdefault(user, []).append(sum(quantity for _, quantity in lines))
        for item, quantity in lines:
            used.setdefault(item, []).append(quantity)
    for amounts in used.values():
        assert len(set(amounts)) == len(amounts) <= BITS
        assert sum(amounts) < 2**BITS
    assert sum(map(len, used.values())) > 6 * BITS


def test_the_end_reads_everything_that_was_named_once() -> None:
    notes = Notes()
    notes.play(WORKLOADS["checkout"](), 1, 300)
    reads = notes.names.reads()
    assert len(reads) == len(set(reads)) == len(notes.model.credit) + len(notes.model.stock) + len(notes.model.orders)
    assert [read.op for read in reads] == sorted((read.op for read in reads), key=lambda op: op != "find_order")


# ---------------------------------------------------------------- answers that are none

NONSENSE = (
    b"",
    b"null",
    b"[]",
    b'"3"',
    b"{}",
    b"\xff\xfe\x00",
    b"<html>",
    b'{"user_id": null, "credit": "much", "stock": true, "price": [], "paid": "yes", "items": {}, "total_cost": null}',
    b'{"user_id": ["u"], "item_id": {}, "order_id": true, "credit": 1.5, "stock": null, "paid": 1, "items": []}',
    b'{"credit": 1e999}',
    b"[" * 5_000,
    b"x" * 100_000,
)
WITH_A_VALUE = ("create_user", "create_item", "create_order", "find_user", "find_item", "find_order")


@pytest.mark.parametrize("body", NONSENSE, ids=range(len(NONSENSE)))
async def test_a_malformed_answer_is_unknown_and_can_be_written_down(body: bytes, tmp_path) -> None:
    server = Server(lambda _: (200, body))
    await server.start()
    try:
        async with ShopClient(server.url, 5.0) as client:
            with FileRecorder(tmp_path / "h", HEADER) as recorder:
                session = ClientPool(client, recorder).session()
                for op in WITH_A_VALUE:
                    args = ("1",) if op != "create_user" else ()
                    process = session.process
                    assert (await session.do(call(op, *args))).outcome == "unknown"
                    assert session.process != process
                assert (await session.do(call("checkout", "1"))).outcome == "ok"  # its body is free
    finally:
        await server.stop()
    assert len(load(tmp_path / "h").operations) == len(WITH_A_VALUE) + 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 banana\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_what_does_not_say_whether_it_happened_is_unknown(answer: bytes, tmp_path) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with ShopClient(url, 5.0) as client:
            with FileRecorder(tmp_path / "h", HEADER) as recorder:
                session: Session = ClientPool(client, recorder).session()
                assert (await session.do(call("checkout", "1"))).outcome == "unknown"


async def test_a_set_up_that_is_refused_says_what_was_answered(tmp_path) -> None:
    server = Server(lambda _: (400, {"error": "not today"}))
    await server.start()
    try:
        async with ShopClient(server.url, 5.0) as client:
            with (
                FileRecorder(tmp_path / "h", HEADER) as recorder,
                pytest.raises(SetupFailed, match=r"set-up: create_user\(\) was answered 'not today'"),
            ):
                await set_up(WORKLOADS["bank"](), ClientPool(client, recorder), 1)
    finally:
        await server.stop()
