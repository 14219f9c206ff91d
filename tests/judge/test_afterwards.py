"""The last sale, in virtual time, of a small shop in memory with one defect each."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from harness.history import Header, MemoryRecorder, Operation, RecordedClaims
from harness.judge.afterwards import STUCK, sell_again
from harness.run.load import ClientPool
from harness.runtimes.sim.loop import VirtualLoop, run
from harness.workload.base import Shop
from harness.workload.client import Response

HEADER = Header(
    protocol="", claims=RecordedClaims(atomicity="atomic", isolation="none", durability="always"), scenario="", workload="",
    durability="always", runtime="external", seed=0,
)  # fmt: skip
PRICE, LIMIT_S = 3, 10.0


class SmallShop:
    """A user and an item without credit and stock.

    `down_s`: a gateway answers 502 until then; `refuses` every checkout; `holds` the order of this name for ever.
    """

    def __init__(
        self, now: Callable[[], float], *, down_s: float = 0.0, refuses: bool = False, holds: str = ""
    ) -> None:
        self._now, self._up_at, self._refuses, self._holds = now, now() + down_s, refuses, holds
        self._balances = {"u": 0, "i": 0}
        self._orders = 0

    async def call(self, operation: str, *args: Any) -> Response:
        if self._now() < self._up_at:
            return Response("unknown", 502, "<html>")
        match operation:
            case "find_user":
                return Response("ok", 200, {"user_id": "u", "credit": self._balances["u"]})
            case "find_item":
                return Response("ok", 200, {"stock": self._balances["i"], "price": PRICE})
            case "add_funds" | "add_stock":
                self._balances[args[0]] += args[1]
            case "create_order":
                self._orders += 1
                return Response("ok", 200, str(self._orders))
            case "checkout":
                return self._check_out(str(args[0]))
        return Response("ok", 200, "")

    def _check_out(self, order: str) -> Response:
        if order == self._holds:
            return Response("unknown", 503, "the checkout goes on")
        if self._refuses or self._balances["u"] < PRICE or self._balances["i"] < 1:
            return Response("fail", 409, "refused")
        return Response("ok", 200, "")


UNFINISHED = [
    Operation(1, "create_order", ["u"], 1, 2, "ok", "first", status=200),
    Operation(1, "add_item", ["first", "i", 1], 3, 4, "ok", "", status=200),
    Operation(1, "checkout", ["first"], 5, 6, "unknown", "", status=503),
]


def stuck(before: Sequence[Operation] = (), **defect: Any) -> list[dict[str, Any]]:
    """Sell again in a shop with this defect, after these operations, and return the recorded failures."""
    loop = VirtualLoop()
    recorder = MemoryRecorder(HEADER, loop.time_ns)

    async def play() -> None:
        clients = ClientPool(SmallShop(loop.time, **defect), recorder)
        await sell_again(clients, Shop(["u"], ["i"], [PRICE]), before, LIMIT_S)

    run(loop, play())
    return [event.data for event in recorder.history().of_kind(STUCK)]


@pytest.mark.parametrize("down_s", [0.0, 3.0, 8.0])
def test_a_shop_that_is_down_during_the_deposit_gets_it_again(down_s: float) -> None:
    assert stuck(down_s=down_s) == []


def test_a_user_who_is_refused_with_enough_is_stuck() -> None:
    (event,) = stuck(refuses=True)
    assert (event["user"], event["item"]) == ("u", "i")
    assert event["tries"] >= LIMIT_S


def test_a_shop_that_never_comes_back_holds_nobody() -> None:
    assert stuck(down_s=99.0) == []


@pytest.mark.parametrize(("defect", "alone"), [({"holds": "first"}, True), ({"refuses": True}, False)])
def test_another_order_shows_whether_an_order_alone_is_stuck(defect: dict[str, Any], alone: bool) -> None:
    event = stuck(UNFINISHED, **defect)[0]
    assert (event["order"], event["alone"]) == ("first", alone)
