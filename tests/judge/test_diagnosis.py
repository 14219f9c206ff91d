"""The name of a defect follows from its effect, from the answers, and from the operations and faults at the same time."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.checkers.verdict import examine
from harness.history import Event, Header, History, Operation, RecordedClaims
from harness.judge.afterwards import STUCK
from harness.judge.diagnosis import diagnose
from harness.judge.examination import CHECKED_BY
from harness.judge.known_ids import KnownIds

MS = 1_000_000
HEADER = Header(
    protocol="a shop",
    claims=RecordedClaims(atomicity="atomic", isolation="read-committed", durability="always"),
    scenario="judge: test",
    workload="script",
    durability="always",
    runtime="external",
    seed=1,
    config={"workload": {}, "must_hold": [], "faults": [], "checkers": list(CHECKED_BY)},
)
PRICE, CREDIT, STOCK, PIECES = 1, 100, 30, 3
COST = PRICE * PIECES


class Script:
    """A history with one user and one item, and the final balances that a test chooses; times are milliseconds."""

    def __init__(self) -> None:
        self.now = 0
        self.operations: list[Operation] = []
        self.events = [Event("phase", 0, {"name": "load"})]
        self.do("create_user", value="u")
        self.do("add_funds", "u", CREDIT)
        self.do("create_item", PRICE, value="i")
        self.do("add_stock", "i", STOCK)

    def do(
        self, op: str, *args: Any, outcome: Any = "ok", value: Any = None, at: tuple[int, int] | None = None
    ) -> None:
        begin, end = at or (self.now, self.now + 1)
        self.now = max(self.now, end) + 1
        process = len(self.operations)
        status = {"ok": 200, "fail": 409, "unknown": 0}[outcome]
        self.operations.append(Operation(process, op, list(args), begin * MS, end * MS, outcome, value, status=status))

    def order(self, name: str, *outcomes: str) -> None:
        """Make an order, and check it out with each of these outcomes."""
        self.do("create_order", "u", value=name)
        self.do("add_item", name, "i", PIECES)
        for outcome in outcomes:
            self.do("checkout", name, outcome=outcome)

    def fault(self) -> None:
        self.events.append(Event("fault-start", self.now * MS, {"fault": "crash", "target": "shop"}))
        self.now += 1

    def end(self, credit: int, stock: int, **paid: bool) -> History:
        """Read everything for the last time."""
        self.events += [Event("phase", self.now * MS, {"name": name}) for name in ("heal", "final")]
        self.now += 1
        for name, is_paid in paid.items():
            body = {"order_id": name, "paid": is_paid, "items": [["i", PIECES]], "user_id": "u", "total_cost": COST}
            self.do("find_order", name, value=body)
        self.do("find_user", "u", value={"user_id": "u", "credit": credit})
        self.do("find_item", "i", value={"stock": stock, "price": PRICE})
        return History(HEADER, self.operations, self.events)


def honest(script: Script) -> History:
    script.order("a", "ok")
    script.order("b", "fail")
    return script.end(CREDIT - COST, STOCK - PIECES, a=True, b=False)


def paid_without_charge(script: Script) -> History:
    script.order("a", "ok")
    return script.end(CREDIT, STOCK - PIECES, a=True)


def lost_update(script: Script) -> History:
    script.order("a")
    script.order("b")
    at = (script.now, script.now + 10)
    script.do("checkout", "a", at=at)
    script.do("checkout", "b", at=at)
    return script.end(CREDIT - COST, STOCK - 2 * PIECES, a=True, b=True)


def ignored_failure(script: Script) -> History:
    script.fault()
    script.order("a", "ok")
    return script.end(CREDIT, STOCK - PIECES, a=True)


def acknowledged_for_nothing(script: Script) -> History:
    script.order("a", "ok")
    return script.end(CREDIT, STOCK, a=False)


def charge_without_paid(script: Script) -> History:
    script.order("a", "ok")
    return script.end(CREDIT - COST, STOCK - PIECES, a=False)


def lost_compensation(script: Script) -> History:
    script.order("a", "fail")
    return script.end(CREDIT, STOCK - PIECES, a=False)


def lost_compensation_before_a_success(script: Script) -> History:
    script.order("a", "fail", "ok")
    return script.end(CREDIT - COST, STOCK - 2 * PIECES, a=True)


def not_idempotent(script: Script) -> History:
    script.order("a", "ok", "ok")
    return script.end(CREDIT - 2 * COST, STOCK - 2 * PIECES, a=True)


def in_doubt(script: Script) -> History:
    script.order("a", "unknown")
    return script.end(CREDIT, STOCK - PIECES, a=False)


def false_rejection(script: Script) -> History:
    script.order("a", "fail")
    return script.end(CREDIT - COST, STOCK - PIECES, a=True)


def negative_balance(script: Script) -> History:
    script.do("pay", "u", CREDIT + 5)
    return script.end(-5, STOCK)


def oversell(script: Script) -> History:
    orders = [f"o{number}" for number in range(STOCK // PIECES + 2)]
    for order in orders:
        script.order(order, "ok")
    return script.end(CREDIT - len(orders) * COST, 0, **dict.fromkeys(orders, True))


def oversell_of_unknown_orders(script: Script) -> History:
    """The shop was too slow to answer whether they are paid."""
    orders = [f"o{number}" for number in range(STOCK // PIECES + 2)]
    for order in orders:
        script.order(order, "unknown")
    return script.end(CREDIT - len(orders) * COST, STOCK - len(orders) * PIECES)


def lost_over_a_kill(script: Script) -> History:
    script.order("a", "ok")
    script.fault()
    return script.end(CREDIT, STOCK, a=False)


def stuck_order(*outcomes: str, alone: bool = True, fault: bool = False) -> Callable[[Script], History]:
    """Checkouts with these outcomes whose order cannot be completed, whereas another one of the same user and item can."""

    def case(script: Script) -> History:
        script.events += [Event("fault-start", 0, {"fault": "crash", "target": "shop"})] if fault else []
        script.order("a", *outcomes)
        about = {"user": "u", "item": "i", "order": "a", "tries": 5, "alone": alone}
        script.events.append(Event(STUCK, script.now * MS, about))
        return script.end(CREDIT, STOCK, a=False)

    case.__name__ = (
        f"stuck_order_{'_'.join(outcomes)}_{'alone' if alone else 'with_others'}{'_in_a_fault' if fault else ''}"
    )
    return case


CASES: dict[Callable[[Script], History], set[str]] = {
    honest: set(),
    paid_without_charge: {"paid-without-charge"},
    lost_update: {"lost-update"},
    ignored_failure: {"failure-counted-as-success"},
    acknowledged_for_nothing: {"failure-counted-as-success"},
    charge_without_paid: {"charge-without-paid"},
    lost_compensation: {"lost-compensation"},
    lost_compensation_before_a_success: {"lost-compensation"},
    not_idempotent: {"checkout-not-idempotent"},
    in_doubt: {"in-doubt-leak"},
    false_rejection: {"refused-but-happened"},
    negative_balance: {"negative-balance"},
    oversell: {"oversell"},
    oversell_of_unknown_orders: {"oversell", "negative-balance"},
    lost_over_a_kill: {"lost-over-kill"},
    stuck_order("unknown"): {"in-doubt-leak"},
    stuck_order("fail"): {"never-retried"},
    stuck_order("fail", "unknown"): {"lock-outlives-holder"},
    stuck_order("unknown", alone=False): {"lock-outlives-holder"},
    stuck_order("unknown", fault=True): {"lock-outlives-holder"},
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_an_effect_has_the_name_of_its_defect(case: Callable[[Script], History]) -> None:
    history = case(Script())
    names = {finding.defect for finding in diagnose(history, examine(history))}
    assert CASES[case] <= names
    assert names <= CASES[case] | {"stale-read"}


def test_an_id_of_an_earlier_round_is_found_with_both_rounds() -> None:
    def creation(name: str, at: int) -> Operation:
        return Operation(at, "create_order", ["u"], at * MS, at * MS + 1, "ok", name, status=200)

    ids = KnownIds()
    assert list(ids.add("first.ndjson", [creation("7", 1), creation("8", 2)])) == []
    (finding,) = ids.add("second.ndjson", [creation("9", 3), creation("7", 4)])
    assert (finding.defect, finding.concerns, finding.times) == ("ids-reused", ("order 7",), 1)
    assert "first.ndjson" in finding.explanation
