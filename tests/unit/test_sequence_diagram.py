"""Sequence diagrams: each send has its receipt, each command its answer, and a killed node its entry."""

from harness.checkers import Judgement, Verdict
from harness.history import Event, Header, History, Operation, RecordedClaims
from harness.history.spans import Span
from harness.report.html.charts.sequence import figure, sentence
from harness.report.html.sequence_diagram import SequenceEntry, SequenceIndex, examples
from harness.report.runs import Run

HEADER = Header(
    protocol="2pc",
    claims=RecordedClaims(atomicity="atomic", isolation="none", durability="everysec"),
    scenario="-",
    workload="-",
    durability="everysec",
    runtime="local",
    seed=1,
)
MS = 1_000_000


def checkout(order: str, begin: int, end: int, outcome: str = "ok", value: object = "paid") -> Operation:
    return Operation(1, "checkout", [order], begin * MS, end * MS, outcome, value)  # type: ignore[arg-type]


def index(operations: list[Operation], steps: list[Span], events: list[Event] | None = None) -> SequenceIndex:
    history = History(HEADER, operations, [Event("phase", 0, {"name": "load"}), *(events or [])])
    return SequenceIndex(Run("run", history, Judgement(verdict=Verdict.HOLDS, reasons=(), results=()), steps))


def step(at: int, node: str, what: str, detail: str = "", txn: str = "a.1") -> Span:
    return Span(at * MS, node, txn, what, detail)


COMMIT = [
    step(11, "order-1", "start", "5"),
    step(12, "order-1", "send:prepare", "stock"),
    step(13, "stock-1", "received:prepare", "http://127.0.0.1:1"),
    step(13, "stock-1", "persist:prepare"),
    step(15, "stock-1", "persisted:prepare", "ok"),
    step(15, "stock-1", "send:vote", "http://127.0.0.1:1"),
    step(16, "order-1", "received:vote", "http://127.0.0.1:2"),
    step(16, "order-1", "do:end"),
    step(17, "order-1", "done:end", "ended"),
]


def summarized(entries: tuple[SequenceEntry, ...]) -> list[tuple[str, str, str, str]]:
    return [(entry.kind, entry.source, entry.target, entry.words) for entry in entries]


def test_sends_meet_receipts_and_commands_their_answers() -> None:
    diagram = index([checkout("5", 10, 18)], COMMIT).diagram("5")
    assert diagram is not None
    assert diagram.nodes == ("order-1", "order-store", "stock-1", "stock-store")
    assert summarized(diagram.entries) == [
        ("client", "client", "order-1", "checkout"),
        ("message", "order-1", "stock-1", "prepare"),
        ("store", "stock-1", "stock-store", "prepare"),
        ("message", "stock-1", "order-1", "vote"),
        ("store", "order-1", "order-store", "end: ended"),
        ("client", "order-1", "client", "acknowledged"),
    ]
    prepare = diagram.entries[2]
    assert (prepare.forced, prepare.took_ms) == (True, 2.0)
    assert diagram.entries[4].forced is False
    assert sentence(prepare, diagram.start_ns) == "0.015 s: stock-1 to stock-store: prepare (a forced write), 2.00 ms"


def test_each_send_has_one_receipt_and_a_send_without_one_is_lost() -> None:
    steps = [
        step(11, "order-1", "start", "5"),
        step(12, "order-1", "send:prepare", "stock"),
        step(14, "order-1", "send:prepare", "stock"),
        step(15, "stock-1", "received:prepare", "x"),
        step(20, "order-1", "send:prepare", "payment"),
    ]
    diagram = index([checkout("5", 10, 30)], steps).diagram("5")
    assert diagram is not None
    kinds = [(entry.kind, entry.target) for entry in diagram.entries if entry.words == "prepare"]
    assert kinds == [("lost", "stock-1"), ("message", "stock-1"), ("lost", "payment-1")]


def test_a_dead_node_shows_where_it_died_and_takes_its_answer_with_it() -> None:
    steps = [*COMMIT[:4], step(20, "order-1", "timer:resend")]
    events = [
        Event("fault-start", 14 * MS, {"fault": "crash", "target": "stock"}),
        Event("node", 16 * MS, {"name": "stock-1", "state": "down"}),
        Event("fault-end", 17 * MS, {"fault": "crash", "target": "stock"}),
        Event("node", 19 * MS, {"name": "stock-1", "state": "running"}),
        Event("node", 19 * MS, {"name": "payment-1", "state": "running"}),
    ]
    diagram = index([checkout("5", 10, 30, "unknown", "502")], steps, events).diagram("5")
    assert diagram is not None
    assert [(entry.kind, entry.source, entry.words) for entry in diagram.entries][2:] == [
        ("lost", "stock-1", "prepare"),
        ("fault", "stock-1", "stock is killed"),
        ("fault", "stock-1", "stock-1 runs"),
        ("note", "order-1", "its timer 'resend' fires"),
        ("client", "order-1", "no answer"),
    ]
    assert diagram.disturbed


def test_a_command_that_is_not_awaited_is_lost_only_where_a_node_died() -> None:
    unanswered = COMMIT[:-1]
    quiet = index([checkout("5", 10, 18)], unanswered).diagram("5")
    assert quiet is not None
    assert [entry.kind for entry in quiet.entries if entry.words == "end"] == ["store"]
    killed = [Event("fault-start", 17 * MS, {"fault": "crash", "target": "order"})]
    broken = index([checkout("5", 10, 18)], unanswered, killed).diagram("5")
    assert broken is not None
    assert [entry.kind for entry in broken.entries if entry.words == "end"] == ["lost"]


def test_a_shop_that_notes_nothing_still_has_a_client() -> None:
    diagram = index([checkout("5", 10, 18, "fail", "short")], []).diagram("5")
    assert diagram is not None
    assert summarized(diagram.entries) == [
        ("client", "client", "the shop", "checkout"),
        ("client", "the shop", "client", "rejected: short"),
    ]
    assert index([], []).diagram("5") is None


def test_too_many_steps_are_bounded_and_counted() -> None:
    steps = [step(11, "order-1", "start", "5")]
    steps += [step(12 + at, "order-1", "send:prepare", "stock") for at in range(500)]
    diagram = index([checkout("5", 10, 700)], steps).diagram("5")
    assert diagram is not None
    assert len(diagram.entries) <= 56
    assert diagram.left_out == 502 - len(diagram.entries)
    assert diagram.entries[0].words == "checkout"
    assert diagram.entries[-1].words == "acknowledged"


def test_examples_are_plain_and_of_both_outcomes() -> None:
    def of(txn: str, order: str, shift: int) -> list[Span]:
        return [
            Span(each.at_ns + shift * MS, each.node, txn, each.what, order if each.what == "start" else each.detail)
            for each in COMMIT
        ]

    operations = [checkout("5", 10, 18), checkout("6", 110, 118, "fail", "short"), checkout("7", 210, 218)]
    steps = [*of("a.1", "5", 0), *of("a.2", "6", 100), *of("a.3", "7", 200)]
    killed = [Event("fault-start", 212 * MS, {"fault": "crash", "target": "stock"})]
    found = examples(index(operations, steps, killed))
    assert {outcome: diagram.order for outcome, diagram in found.items()} == {"ok": "5", "fail": "6"}


def test_a_diagram_has_a_row_and_a_sentence_for_each_entry() -> None:
    diagram = index([checkout("5", 10, 18)], COMMIT).diagram("5")
    assert diagram is not None
    drawn = figure("name", "A checkout", diagram)
    assert len(drawn.rows) == len(diagram.entries) == drawn.wide.count('class="hit"')
    assert drawn.wide.count("<title>") == len(diagram.entries)
