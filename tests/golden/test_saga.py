"""The transcripts of the saga in its classic situations, word for word. ``--rewrite-golden`` writes them anew: read the diff."""

from pathlib import Path

import pytest

from harness.explore.case import ONE, SHORT, TWO_INSTANCES, SearchCase
from harness.explore.search import Bounds, Search
from harness.explore.transcript import render, walk
from protocols.saga import PROTOCOL

RESERVED = ("start order", "deliver stock Perform", "deliver order Performed(order~1.0, stock/0")
CHARGED = (*RESERVED, "deliver payment Perform")
SITUATIONS: dict[str, tuple[SearchCase, str, tuple[str, ...]]] = {
    "paid": (ONE, "wait", (*CHARGED, "deliver order Performed(order~1.0, payment/0")),
    "accepted": (ONE, "accepted", (*CHARGED, "deliver order Performed(order~1.0, payment/0")),
    "refusal": (
        SHORT,
        "wait",
        (
            *CHARGED,
            "deliver order Performed(order~1.0, payment/0",
            "deliver stock Compensate",
            "deliver order Compensated(order~1.0, stock/0",
        ),
    ),
    "no-answer-until-the-deadline": (
        ONE,
        "wait",
        (
            *CHARGED,
            "timer order deadline",
            "deliver payment Compensate",
            "deliver order Compensated(order~1.0, payment/0",
            "deliver stock Compensate",
            "deliver order Compensated(order~1.0, stock/0",
        ),
    ),
    "compensated-before-it-was-performed": (
        ONE,
        "wait",
        (
            "start order",
            "timer order deadline",
            "deliver payment Compensate",
            "deliver order Compensated(order~1.0, payment/0",
            "deliver stock Compensate",
            "deliver stock Perform",
        ),
    ),
    "crash-on-the-way": (
        ONE,
        "wait",
        (
            *CHARGED,
            "crash order",
            "sweep order",
            "deliver order Performed(order~1.0, stock/0",
            "deliver order Performed(order~1.0, payment/0",
        ),
    ),
    "crash-after-the-abort": (
        SHORT,
        "wait",
        (
            *CHARGED,
            "deliver order Performed(order~1.0, payment/0 ! order:after-persist:abort_saga",
            "sweep order",
            "deliver payment Compensate",
            "deliver order Compensated(order~1.0, payment/0",
            "deliver stock Compensate",
            "deliver order Compensated(order~1.0, stock/0",
        ),
    ),
    "two-instances-one-decision": (
        TWO_INSTANCES,
        "wait",
        (
            *RESERVED,
            "sweep order-2",
            "timer order-2 deadline",
            "deliver payment Perform",
            "deliver order Performed(order~1.0, payment/0",
        ),
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_transcript_is_as_written(name: str, request: pytest.FixtureRequest) -> None:
    case, reply, choices = SITUATIONS[name]
    search = Search(PROTOCOL, PROTOCOL.configure({"reply": reply}), case, Bounds(crashes=1))
    replies = render(walk(search, choices))
    golden = Path(__file__).parent / "saga" / f"{name}.txt"
    if request.config.getoption("--rewrite-golden"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(replies, "utf-8")
    assert replies == golden.read_text("utf-8")
