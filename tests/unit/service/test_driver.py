"""The driver's promises: order of effects, order of events, what a crash may leave, and what is forgotten."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from protocols.core import (
    Command,
    Config,
    Do,
    Done,
    Effects,
    Event,
    Persist,
    Received,
    Recovered,
    Reply,
    Request,
    Role,
    Send,
    SetTimer,
    Start,
    TimerFired,
)
from protocols.outcomes import Decision, Outcome
from protocols.service.batched_commands import BATCH_WINDOW_MS
from protocols.service.driver import Driver
from protocols.store.tables import Result

YES = Outcome(Decision.COMMITTED)


@dataclass(frozen=True)
class Note:
    txn: str
    text: str = ""


class Scripted:
    """A role whose answers are written down, and the ports it runs on: all they do is take notes."""

    def __init__(self, answers: dict[type, Effects], keep: bool = True, **named: frozenset[str]) -> None:
        self.seen: list[Event] = []
        self.log: list[str] = []
        self.submitted: list[tuple[Command, Callable[[Result], None]]] = []
        self.refusals: list[Callable[[str], None]] = []
        self.timers: dict[Callable[[], None], bool] = {}
        self.waits: list[float] = []
        self.ended: list[str] = []
        self.answers = answers
        self._keep = keep
        role = Role("scripted", self._step, "recover", lambda timing: timing.inquire_after_ms)
        ports: Any = self
        self.driver = Driver("node", role, Config(), ports, ports, ports, self.log.append, self.ended.append, **named)

    def _step(self, _config: Config, _state: Any, event: Event) -> tuple[Any, Effects]:
        self.seen.append(event)
        return ("alive" if self._keep else None), self.answers.get(type(event), ())

    def submit(self, command: Command, then: Callable[[Result], None], refused: Callable[[str], None]) -> None:
        self.refusals.append(refused)
        self.log.append(f"store {command.name}")
        self.submitted.append((command, then))

    def send(self, to: str, message: Any) -> None:
        self.log.append(f"to {to}: {message.text}")

    def call_later(self, after_ms: float, call: Callable[[], None]) -> Any:
        self.waits.append(after_ms)
        self.timers[call] = True
        timers = self.timers

        class Handle:
            def cancel(self) -> None:
                timers[call] = False

        return Handle()

    def start(self, txn: str = "t") -> list[Outcome]:
        replies: list[Outcome] = []
        self.driver.start(txn, Request("order", "node", "node-1", 1), replies.append)
        return replies

    def answer(self, at: int = 0, result: Result = ("ok",)) -> None:
        self.submitted[at][1](result)


def test_nothing_after_a_persist_happens_before_it_is_durable() -> None:
    scripted = Scripted({Start: (Persist(Command("force")), Send("peer", Note("t", "after")), Reply(YES))})
    replies = scripted.start()
    assert scripted.log == ["node:before-persist:force", "store force"]
    scripted.answer()
    assert scripted.log[2:] == [
        "node:after-persist:force",
        "node:before-send:note",
        "to peer: after",
        "node:after-send:note",
        "node:before-reply:committed",
        "node:after-reply:committed",
    ]
    assert replies == [YES]


def test_a_do_is_not_waited_for_and_its_answer_is_an_event() -> None:
    scripted = Scripted({Start: (Do(Command("lazy")), Reply(YES))})
    assert scripted.start() == [YES]
    scripted.answer(result=("done", 1))
    assert scripted.seen[1:] == [Done(Command("lazy"), ("done", 1))]


def test_events_wait_while_a_persist_is_under_way_and_its_answer_comes_first() -> None:
    scripted = Scripted({Start: (Persist(Command("force")),)})
    scripted.start()
    scripted.driver.receive(Note("t", "early"), "peer")
    assert len(scripted.seen) == 1
    scripted.answer()
    assert scripted.seen[1:] == [Done(Command("force"), ("ok",)), Received(Note("t", "early"), "peer")]


def test_a_message_repeated_while_the_first_one_waits_is_handled_once() -> None:
    scripted = Scripted({Start: (Persist(Command("force")),)})
    scripted.start()
    for _ in range(3):
        scripted.driver.receive(Note("t"), "peer")
    scripted.answer()
    assert scripted.seen.count(Received(Note("t"), "peer")) == 1


def test_a_message_is_handled_when_its_effects_are_durable_and_its_answer_is_sent() -> None:
    scripted = Scripted(
        {Received: (Persist(Command("force")),), Done: (Send("peer", Note("t", "answer")),)}, keep=False
    )
    for number in range(2):
        scripted.driver.receive(Note("t"), "peer", lambda number=number: scripted.log.append(f"handled {number}"))
    assert not any(line.startswith("handled") for line in scripted.log)
    scripted.answer(0)
    assert not any(line.startswith("handled") for line in scripted.log), "the second one waits for a store as well"
    scripted.answer(1)
    assert scripted.log[-3:] == ["node:after-send:note", "handled 0", "handled 1"]
    assert scripted.driver.live == 0


def test_a_message_that_starts_nothing_is_handled_at_once() -> None:
    scripted, handled = Scripted({}), []
    scripted.driver.receive(Note("t"), "peer", lambda: handled.append(True))
    assert handled == [True]


def test_other_transactions_do_not_wait() -> None:
    scripted = Scripted({Start: (Persist(Command("force")),)})
    scripted.start("t")
    scripted.driver.receive(Note("other"), "peer")
    assert scripted.seen[1:] == [Received(Note("other"), "peer")]


def test_a_state_of_none_ends_the_transaction_and_its_timers() -> None:
    scripted = Scripted({Start: (SetTimer("later", 5),)}, keep=False)
    scripted.start()
    assert list(scripted.timers.values()) == [False]
    assert (scripted.ended, scripted.driver.live) == (["t"], 0)


def test_a_timer_set_again_replaces_the_first_and_fires_once() -> None:
    scripted = Scripted({Start: (SetTimer("later", 5), SetTimer("later", 9))})
    scripted.start()
    first, second = scripted.timers
    assert (scripted.timers[first], scripted.timers[second]) == (False, True)
    second()
    assert scripted.seen[1:] == [TimerFired("later")]


def test_a_timer_is_spread_by_chance_and_never_early() -> None:
    scripted = Scripted({Start: (SetTimer("exact", 100), SetTimer("spread", 100, spread_ms=50))})
    for number in range(20):
        scripted.start(f"t{number}")
    assert set(scripted.waits[::2]) == {100}
    assert len(set(scripted.waits[1::2])) == 20
    assert all(100 <= wait < 150 for wait in scripted.waits[1::2])


def test_recovery_takes_up_only_transactions_that_are_not_held() -> None:
    scripted = Scripted({})
    scripted.start("t")
    scripted.driver.recover([("t", ("t", "open")), ("u", ("u", "open"))])
    assert scripted.seen[1:] == [Recovered(("u", "open"))]


def test_recovery_takes_up_a_transaction_whose_inquiry_is_being_answered() -> None:
    """Found by the simulator: an inquiry under way kept the former life's transaction from being taken up."""
    scripted = Scripted({Received: (Persist(Command("resolve")),)}, keep=False)
    scripted.driver.receive(Note("t", "inquiry"), "peer")
    scripted.driver.recover([("t", ("t", "open"))])
    scripted.answer()
    assert scripted.seen[-1] == Recovered(("t", "open"))


def test_recovery_skips_a_transaction_that_ended_after_the_snapshot() -> None:
    """Found by the simulator: a saga that had just ended was run once more, after its fences were gone."""
    scripted = Scripted({})
    scripted.start("t")
    before = scripted.driver.snapshot()
    scripted._keep = False
    scripted.driver.receive(Note("t", "last"), "peer")
    assert not scripted.driver.live
    assert scripted.driver.recover([("t", ("t", "open")), ("u", ("u", "open"))], before) == ["u"]
    assert scripted.driver.recover([("t", ("t", "open"))]) == ["t"], "it is in the store again, or still"


def test_the_result_of_a_fire_and_forget_command_is_no_event() -> None:
    scripted = Scripted({Received: (Do(Command("note", ("t",))),)}, fire_and_forget=frozenset({"note"}))
    scripted.driver.receive(Note("t"), "peer")
    assert [command.name for command, _ in scripted.submitted] == ["note"]
    seen = len(scripted.seen)
    scripted.answer(0, ("noted",))
    assert len(scripted.seen) == seen


def test_batched_commands_are_one_and_their_transactions_are_held_until_its_answer() -> None:
    ended = {txn: (Do(Command("end", (txn,))),) for txn in ("a", "b")}
    scripted = Scripted({}, keep=False, batched=frozenset({"end"}))
    for txn, effects in ended.items():
        scripted.answers[Received] = effects
        scripted.driver.receive(Note(txn), "peer")
    assert scripted.waits == [BATCH_WINDOW_MS]
    assert not scripted.submitted
    assert scripted.driver.snapshot().held == {"a", "b"}
    (flush,) = scripted.timers
    flush()
    assert [command for command, _ in scripted.submitted] == [Command("end", ("a", "b"))]
    assert scripted.driver.recover([("a", ("a",)), ("b", ("b",))]) == []
    seen = len(scripted.seen)
    scripted.answer(0, ("ended",))
    assert scripted.driver.snapshot().held == frozenset()
    assert scripted.driver.live == 0
    assert len(scripted.seen) == seen, "the result of a batched command is no event"


class Deliveries:
    """The callbacks of a link for its messages."""

    def __init__(self, scripted: Scripted) -> None:
        self.ended: list[str] = []
        self._receive = scripted.driver.receive

    def bring(self, note: Note) -> None:
        name = note.text
        self._receive(
            note,
            "peer",
            lambda: self.ended.append(f"{name} handled"),
            lambda why: self.ended.append(f"{name} rejected: {why}"),
        )


@pytest.mark.parametrize("effect", [Persist(Command("c")), Do(Command("c"))])
def test_a_message_that_the_store_refuses_is_rejected_and_keeps_nothing(effect: Persist | Do) -> None:
    scripted = Scripted({Received: (effect, SetTimer("again", 5))}, keep=False)
    deliveries = Deliveries(scripted)
    deliveries.bring(Note("no-dot", "bad"))
    assert deliveries.ended == [], "the store has not answered yet"
    scripted.refusals[0]("ERR oops")
    assert deliveries.ended == ["bad rejected: ERR oops", "bad handled"]
    assert scripted.driver.live == 0
    assert scripted.driver.refused == 1
    assert not any(scripted.timers.values())


def test_only_the_message_whose_command_is_refused_is_rejected_and_the_others_go_on() -> None:
    scripted = Scripted({Received: (Persist(Command("c")),)}, keep=False)
    deliveries = Deliveries(scripted)
    for name in ("first", "second", "third"):
        deliveries.bring(Note("t", name))
    scripted.answer(0)
    scripted.refusals[1]("ERR oops")
    assert deliveries.ended == [], "the messages of one transaction end together"
    scripted.answer(2)
    assert deliveries.ended == ["first handled", "second rejected: ERR oops", "second handled", "third handled"]


def test_an_abandoned_transaction_is_forgotten_and_its_id_stays_until_it_is_recovered() -> None:
    scripted = Scripted({Start: (SetTimer("deadline", 5), Persist(Command("c")), Reply(YES))})
    assert scripted.start() == []
    scripted.refusals[0]("ERR oops")
    assert (scripted.driver.snapshot().held, scripted.ended) == (frozenset(), [])
    assert not any(scripted.timers.values())
    scripted.answers = {}
    scripted._keep = False
    assert scripted.driver.recover([("t", ("record",))]) == ["t"]
    assert scripted.ended == ["t"]


def test_a_message_that_the_role_cannot_handle_is_rejected_and_any_other_failure_is_a_defect() -> None:
    scripted = Scripted({})

    def step(_config: Config, _state: Any, event: Event) -> tuple[Any, Effects]:
        raise KeyError("stock/99")

    driver = scripted.driver
    driver._role = Role("failing", step, "recover", lambda timing: timing.inquire_after_ms)
    deliveries = Deliveries(scripted)
    deliveries.bring(Note("t", "odd"))
    assert deliveries.ended == ["odd rejected: KeyError: 'stock/99'", "odd handled"]
    assert driver.live == 0
    with pytest.raises(KeyError):
        scripted.start()


def test_a_message_is_handled_when_its_unawaited_commands_are_done_too() -> None:
    scripted = Scripted({Received: (Do(Command("undo")),)}, keep=False)
    deliveries = Deliveries(scripted)
    deliveries.bring(Note("t", "abort"))
    assert deliveries.ended == []
    scripted.answer()
    assert deliveries.ended == ["abort handled"]


def test_a_refused_batch_of_commands_holds_no_transaction() -> None:
    scripted = Scripted({Start: (Do(Command("end", ("t",))),)}, keep=False, batched=frozenset({"end"}))
    scripted.start()
    next(iter(scripted.timers))()
    scripted.refusals[0]("ERR oops")
    assert (scripted.driver.live, scripted.driver.refused) == (0, 1)
