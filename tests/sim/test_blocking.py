"""An instance that never returns, with a clock an hour ahead: its locks are free in time, or the verdict is violated.

No copy of a request adopts a transaction here, so that only patience ends one.
"""

from dataclasses import replace
from typing import Any

import pytest

from harness import faults
from harness.run import in_memory, scenarios
from harness.run.plan import Plan, simulated
from protocols.saga import commands as saga
from protocols.two_phase import commands as two_phase

HOUR_MS = 3_600_000
CASES = [
    ("2pc", {"locks": "wait-die"}, "order:before-persist:commit", two_phase),
    ("2pc", {"locks": "escrow", "reads": "settled"}, "order:before-persist:commit", two_phase),
    ("saga", {}, "order:before-persist:confirm", saga),
]


def plan(protocol: str, options: dict[str, str], failpoint: str) -> Plan:
    scenario = simulated(scenarios.load("instance-away"))
    schedule = (
        faults.fault("skew", ("order-1",), 0.5, 25.0, {"offset_ms": HOUR_MS}),
        faults.fault("crash-at", ("order-1",), 1.0, 20.0, {"failpoint": failpoint}),
    )
    return Plan(replace(scenario, must_hold=()), protocol, 1, runtime="sim", options=options, schedule=schedule)


@pytest.fixture(autouse=True)
def _nothing_is_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (two_phase, saga):
        monkeypatch.setattr(module, "adopt", lambda *_: None)


def believed(tables: Any, now: int, name: str, txn: str) -> int:
    """Return the age of a record by the clock of its writer, the former rule."""
    return now - int(tables[name][txn].since_ms)


@pytest.mark.parametrize(
    ("protocol", "options", "failpoint", "_module"),
    [CASES[0], *(pytest.param(*case, marks=pytest.mark.slow) for case in CASES[1:])],
)
def test_no_transaction_waits_longer_than_claimed(
    protocol: str, options: dict[str, str], failpoint: str, _module: Any
) -> None:
    done = in_memory.run(plan(protocol, options, failpoint))
    figures = next(result.finding.figures for result in done.judgement.results if result.checker == "blocking")
    assert done.judgement.verdict == "holds", done.judgement.reasons
    assert figures["longest_away_s"] > figures["bounds_s"]["blocked-by-absence"]


@pytest.mark.parametrize(("protocol", "options", "failpoint", "module"), CASES)
def test_trust_in_a_foreign_clock_is_found(
    protocol: str, options: dict[str, str], failpoint: str, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "waited", believed)
    done = in_memory.run(plan(protocol, options, failpoint))
    assert done.judgement.verdict == "violated"
    assert (done.names, done.judgement.reasons) == ({"blocked-by-absence"}, ())
