"""A load without further requests ends, unless a fault is still due."""

from harness.checkers import Verdict
from harness.metrics.outcomes import outcomes
from harness.run import in_memory, scenarios
from harness.run.plan import Plan, simulated


def test_a_load_without_faults_ends_with_its_last_client() -> None:
    scenario = simulated(scenarios.load("flash-sale"))
    done = in_memory.run(Plan(scenario, "2pc", 1, runtime="sim"))
    assert done.judgement.verdict == Verdict.HOLDS, done.judgement.reasons
    began_ns, healed_ns = done.history.phase_ns("load"), done.history.phase_ns("heal")
    assert began_ns is not None
    assert healed_ns is not None
    assert (healed_ns - began_ns) / 1e9 < scenario.duration_s / 2
    seen, sale = outcomes(done.history), scenario.workload
    assert (seen.paid, seen.answers["ok"]) == (sale.stock, sale.stock)  # type: ignore[attr-defined]
    assert seen.answers == {"ok": sale.stock, "fail": sale.clients - sale.stock}  # type: ignore[attr-defined]
    assert (seen.false_acknowledgements, seen.unfinished) == (0, 0)
