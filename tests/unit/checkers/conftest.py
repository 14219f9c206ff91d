"""A builder of small histories for the checkers."""

from typing import Any

import pytest

from harness.history import Event, Header, History, Operation, RecordedClaims

MS = 1_000_000


class Run:
    """A collection of operations and events; each takes the next millisecond, unless `at` is given."""

    def __init__(self) -> None:
        self.now = 0
        self.process = 0
        self.operations: list[Operation] = []
        self.events: list[Event] = []

    def op(
        self,
        op: str,
        *args: Any,
        value: Any = None,
        outcome: Any = "ok",
        process: int | None = None,
        at=None,
        status: int | None = None,
    ) -> Operation:
        """`at` is (begin, end) in milliseconds. Who is not named does not go on after an outcome that is not known."""
        process = self.process if process is None else process
        if outcome == "unknown" and process == self.process:
            self.process += 1_000_000
        begin, end = at or (self.now, self.now + 1)
        self.now = max(self.now, end + 1)
        done = Operation(process, op, list(args), begin * MS, end * MS, outcome, value, status=status)
        self.operations.append(done)
        return done

    def event(self, kind: str, *, at: float | None = None, **data: Any) -> None:
        """`at` is in milliseconds."""
        self.now = self.now + 1 if at is None else int(at)
        self.events.append(Event(kind, self.now * MS, data))

    def phase(self, name: str) -> None:
        self.event("phase", name=name)

    def user(self, name: str, credit: int) -> None:
        self.op("create_user", value={"user_id": name})
        self.op("add_funds", name, credit)

    def item(self, name: str, stock: int, price: int = 1) -> None:
        self.op("create_item", price, value={"item_id": name})
        self.op("add_stock", name, stock)

    def order(self, name: str, user: str, *lines: tuple[str, int]) -> None:
        self.op("create_order", user, value={"order_id": name})
        for item, quantity in lines:
            self.op("add_item", name, item, quantity)

    def see_user(self, name: str, credit: int, **how: Any) -> Operation:
        return self.op("find_user", name, value={"user_id": name, "credit": credit}, **how)

    def see_item(self, name: str, stock: int, price: int = 1, **how: Any) -> Operation:
        return self.op("find_item", name, value={"stock": stock, "price": price}, **how)

    def see_order(self, name: str, user: str, *lines: tuple[str, int], paid: bool, total: int, **how: Any) -> None:
        items = [list(line) for line in lines]
        answer = {"order_id": name, "paid": paid, "items": items, "user_id": user, "total_cost": total}
        self.op("find_order", name, value=answer, **how)

    def history(self, complete: bool = True, workload: str = "checkout", **claims: Any) -> History:
        """Claims as 2PC makes them, but for those that are given."""
        defaults = {
            "atomicity": "atomic",
            "isolation": "strict-serializable",
            "durability": "always",
            "recovery_s": 10,
        }
        header = Header(
            protocol="2pc",
            claims=RecordedClaims(**{**defaults, **claims}),
            scenario="test",
            workload=workload,
            durability=claims.get("durability", "always"),
            runtime="sim",
            seed=1,
        )
        return History(header, self.operations, self.events, complete)


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.fixture
def checkout_run(run):
    """One order of 2 pieces at 5; user 1 has 100, item 7 has 20. The arguments are the outcomes and the final state."""

    def record(outcomes=("ok",), *, credit=90, stock=18, paid=True, end=True) -> Run:
        run.phase("setup")
        run.user("1", 100)
        run.item("7", 20, price=5)
        run.phase("load")
        run.order("o", "1", ("7", 2))
        for process, outcome in enumerate(outcomes):
            run.op("checkout", "o", outcome=outcome, process=process)
        if end:
            run.event("healed")
            run.event("probe", in_doubt=0, locks=0, fences=None, open=0)
            run.phase("final")
            run.see_user("1", credit)
            run.see_item("7", stock, price=5)
            run.see_order("o", "1", ("7", 2), paid=paid, total=10)
        return run

    return record
