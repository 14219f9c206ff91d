"""The transcripts of the protocol in its classic situations, word for word. ``--rewrite-golden`` rewrites them."""

from pathlib import Path

import pytest

from harness.explore.case import ONE, SHARED, SHORT, SearchCase
from harness.explore.search import Bounds, Search
from harness.explore.transcript import render, walk
from protocols.two_phase import PROTOCOL

PREPARED = ("start order", "deliver stock Prepare", "deliver payment Prepare")
VOTED = (*PREPARED, "deliver order Vote(order~1.0, stock/0")
SITUATIONS: dict[str, tuple[SearchCase, str, tuple[str, ...]]] = {
    "commit": (
        ONE,
        "wait-die",
        (
            *VOTED,
            "deliver order Vote(order~1.0, payment/0",
            "deliver stock Commit",
            "deliver payment Commit",
            "deliver order Ack(order~1.0, stock/0",
            "deliver order Ack(order~1.0, payment/0",
        ),
    ),
    "refusal": (SHORT, "wait-die", (*PREPARED, "deliver order Vote(order~1.0, payment/0", "deliver stock Abort")),
    "coordinator-crash-before-the-decision": (
        ONE,
        "wait-die",
        (
            *PREPARED,
            "crash order",
            "sweep payment",
            "deliver order Inquiry",
            "deliver payment Abort",
            "deliver stock Abort",
        ),
    ),
    "coordinator-crash-after-the-decision": (
        ONE,
        "wait-die",
        (
            *VOTED,
            "deliver order Vote(order~1.0, payment/0 ! order:after-persist:commit",
            "sweep order",
            "deliver stock Commit",
            "deliver payment Commit",
            "deliver order Ack(order~1.0, stock/0",
            "deliver order Ack(order~1.0, payment/0",
        ),
    ),
    "in-doubt-after-the-decision": (
        ONE,
        "wait-die",
        (
            *VOTED,
            "deliver order Vote(order~1.0, payment/0 ! order:after-persist:commit",
            "sweep payment",
            "deliver order Inquiry",
            "deliver payment Commit",
        ),
    ),
    "older-waits-for-the-lock": (
        SHARED,
        "wait-die",
        (
            "start order",
            "deliver stock Prepare(order~1.0",
            "start order",
            "deliver stock Prepare(order~1.1",
            "deliver payment Prepare(order~1.0",
            "deliver order Vote(order~1.0, stock/0",
            "deliver order Vote(order~1.0, payment/0",
            "deliver stock Commit(order~1.0",
        ),
    ),
    "older-wounds-the-holder": (
        SHARED,
        "wound-wait",
        (
            "start order",
            "deliver stock Prepare(order~1.0",
            "start order",
            "deliver stock Prepare(order~1.1",
            "deliver order Wound(order~1.0",
            "deliver stock Abort(order~1.0",
        ),
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_transcript_is_as_written(name: str, request: pytest.FixtureRequest) -> None:
    case, locks, choices = SITUATIONS[name]
    search = Search(PROTOCOL, PROTOCOL.configure({"locks": locks}), case, Bounds(crashes=1))
    replies = render(walk(search, choices))
    golden = Path(__file__).parent / "two_phase" / f"{name}.txt"
    if request.config.getoption("--rewrite-golden"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(replies, "utf-8")
    assert replies == golden.read_text("utf-8")
