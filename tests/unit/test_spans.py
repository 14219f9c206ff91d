"""The spans of each transaction, and that a reader gets them back; of so many transactions one is traced."""

import asyncio
import os
from pathlib import Path

import pytest

from harness.history.spans import Span, encode, from_logs, from_simulation, parse, read
from protocols.core import Command, Done, Persist, Received, Reply, Send, Start
from protocols.outcomes import Outcome
from protocols.service.trace import TraceWriter
from tests.unit.service.test_driver import YES, Note, Scripted


def test_an_observer_receives_events_and_effects_in_the_order_in_which_they_happen() -> None:
    scripted = Scripted(
        {Start: (Persist(Command("force")), Send("peer", Note("t")), Reply(YES)), Received: (), Done: ()}, keep=True
    )
    response: list[tuple[str, str, str]] = []
    scripted.driver.observer = lambda *words: response.append(words)
    scripted.start()
    scripted.answer(result=("ok", 7))
    scripted.driver.receive(Note("t"), "peer-1")
    assert response == [
        ("t", "start", "order"),
        ("t", "persist:force", ""),
        ("t", "persisted:force", "ok"),
        ("t", "send:note", "peer"),
        ("t", "reply:committed", ""),
        ("t", "done:force", "ok"),
        ("t", "received:note", "peer-1"),
    ]


async def _noted(every: int, *txns: str) -> str:
    read_end, write_end = os.pipe()
    try:
        trace = TraceWriter(every, write_end)
        for txn in txns:
            trace(txn, "reply:refused", "short:item\n5")
        await asyncio.sleep(0)
        os.set_blocking(read_end, False)
        try:
            return os.read(read_end, 65_536).decode()
        except BlockingIOError:
            return ""
    finally:
        os.close(read_end)
        os.close(write_end)


async def test_of_so_many_transactions_one_is_traced_and_every_node_chooses_the_same() -> None:
    txns = [f"p.{number}" for number in range(9)]
    assert [line.split()[2] for line in (await _noted(4, *txns)).splitlines() if line.startswith("~")] == [
        "p.0",
        "p.4",
        "p.8",
    ]
    assert (await _noted(1, *txns)).count("~ ") == 9


async def test_a_detail_never_breaks_a_line() -> None:
    (line,) = (await _noted(1, "p.0")).splitlines()
    assert line.endswith("short:item 5")


@pytest.mark.parametrize("line", ["", "\n", "~ 12 t\n", "~ x t what\n", "~ 12 t what", '{"event": "serving"}\n', "~\n"])
def test_what_is_no_whole_step_is_none(line: str) -> None:
    assert parse("order-1", line) is None


def test_steps_come_back_in_order_of_time_from_logs_and_from_a_run_folder(tmp_path: Path) -> None:
    (tmp_path / "order-1.log").write_text("hello\n~ 30 a.1 reply:committed \n~ 10 a.1 start o1\n")
    (tmp_path / "stock-1.log").write_bytes(b"~ 20 a.1 received:prepare order-1 \xff\n~ 40 a.1 hal")
    found = from_logs(tmp_path)
    assert [(step.at_ns, step.node, step.what) for step in found] == [
        (10, "order-1", "start"),
        (20, "stock-1", "received:prepare"),
        (30, "order-1", "reply:committed"),
    ]
    (tmp_path / "steps.ndjson").write_bytes(encode(found))
    assert read(tmp_path) == found
    assert read(tmp_path / "nowhere") == []
    assert from_simulation([(0.5, "order-1", "a.1 start o1")]) == [Span(500_000_000, "order-1", "a.1", "start", "o1")]


def test_a_refusal_says_why() -> None:
    scripted = Scripted({Start: (Reply(Outcome.rejected("short:user:7")),)})
    response: list[tuple[str, str, str]] = []
    scripted.driver.observer = lambda *words: response.append(words)
    scripted.start()
    assert response[-1] == ("t", "reply:refused", "short:user:7")
