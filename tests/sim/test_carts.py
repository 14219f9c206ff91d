"""Changes of carts, removals of orders, resets of stock and credit: every claim holds, and defects are found."""

from dataclasses import replace
from typing import Any

import pytest

from harness.run import in_memory, scenarios
from harness.run.in_memory import InMemoryRun
from harness.run.plan import Plan, simulated
from harness.workload import WORKLOADS
from protocols.shop import keyed, ledger, ledger_orders

OURS = "set-anew"
ESCROW = ("2pc", {"locks": "escrow"})
SHOPS = [("2pc", {}), ESCROW, ("saga", {}), ("lua", {})]
CHANGES = {"init_items", "init_users", "init_orders", "remove_item", "remove_order"}


def bought(scenario: str, protocol: str, seed: int, **changes: Any) -> InMemoryRun:
    """Run a packaged scenario with the workload of carts, which cannot judge isolation."""
    loaded = scenarios.load(scenario)
    if loaded.workload_name != "carts":
        holds = tuple(name for name in loaded.must_hold if name != "isolation")
        loaded = replace(loaded, workload_name="carts", workload=WORKLOADS["carts"](), must_hold=holds)
    return in_memory.run(replace(Plan(simulated(loaded), protocol, seed, runtime="sim"), **changes))


RUNS = [
    pytest.param(
        protocol,
        options,
        scenario,
        seeds,
        id=f"{protocol}-{options}-{scenario}",
        marks=() if (protocol, options) == SHOPS[0] or scenario == "kill-one-at-a-time" else pytest.mark.slow,
    )
    for protocol, options in SHOPS
    for scenario, seeds in ((OURS, 3), ("kill-one-at-a-time", 2), ("everything", 1))
]


@pytest.mark.parametrize(("protocol", "options", "scenario", "seeds"), RUNS)
def test_carts_keep_every_claim(protocol: str, options: dict[str, str], scenario: str, seeds: int) -> None:
    done: set[str] = set()
    for seed in range(1, seeds + 1):
        run = bought(scenario, protocol, seed, options=options)
        assert (run.judgement.verdict, sorted(run.names)) == ("holds", []), seed
        done |= {each.op for each in run.history.operations if each.outcome == "ok"}
    assert done >= CHANGES or seeds == 1


def test_balances_are_reset_during_checkouts() -> None:
    """Without resets during checkouts the other tests would prove nothing."""
    operations = bought(OURS, "saga", 1).history.operations
    checkouts = [each for each in operations if each.op == "checkout"]
    met = sum(
        each.invoked_ns < init.invoked_ns < each.completed_ns
        for init in operations
        if init.op in ("init_items", "init_users")
        for each in checkouts
    )
    assert met > 3


def test_a_saga_that_compensates_another_life_of_an_account_is_found() -> None:
    """A read of the life that received the amount shows it, also where that life was short."""
    assert "impossible-balance" in bought(OURS, "saga", 13, ablate=("same-life",)).names
    assert not bought(OURS, "saga", 13).names


@pytest.mark.parametrize(("protocol", "options"), SHOPS, ids=str)
def test_an_order_charged_at_the_current_price_is_found(
    protocol: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The charged amount is the shown one, so the sums are right: only the answers contradict each other."""
    today: dict[str, int] = {}

    def init_accounts(tables: Any, config: Any, now: int, prefix: str, first: int, count: int, *about: int) -> Any:
        if prefix == "item":
            today.update((str(number), about[1]) for number in range(first, first + count))
        return ledger.init_accounts(tables, config, now, prefix, first, count, *about)

    def total(lines: tuple[ledger_orders.Line, ...]) -> int:
        return sum(quantity * today.get(item, price) for item, quantity, price in lines)

    monkeypatch.setattr(ledger_orders, "total", total)
    monkeypatch.setitem(keyed.CHANGES, "init_accounts", init_accounts)
    assert "wrong-total" in bought(OURS, protocol, 1, options=options).names
