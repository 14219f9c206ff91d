"""The contract of a protocol, as a class of tests."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings

from harness.explore.breadth import Bounds
from harness.explore.suite import ModelCheck
from harness.run import in_memory
from harness.run.in_memory import InMemoryRun
from harness.run.plan import Plan
from harness.run.scenarios import Scenario
from harness.workload import WORKLOADS
from protocols.core import Protocol
from protocols.registry import load
from wdm.testing.strategies import LONGEST_S, plans


class ProtocolContract:
    """The tests of one protocol. A subclass may set the `bounds` of the search and the number of Hypothesis `examples`."""

    protocol: ClassVar[str]
    options: ClassVar[Mapping[str, str]] = {}
    bounds: ClassVar[Bounds] = Bounds(crashes=1, states=20_000, seconds=30)
    examples: ClassVar[int] = 25
    phases: ClassVar[tuple[Phase, ...]] = tuple(Phase)

    def test_it_says_of_itself_what_checkers_know(self) -> None:
        protocol = self.loaded()
        assert {role.name for role in protocol.roles.values()}
        Plan(
            scenario_of("checkout"), self.protocol, 1, options=self.options
        ).claims()  # raises for what no checker knows
        assert protocol.configure(dict(self.options)).options.keys() == {option.name for option in protocol.options}

    @pytest.mark.parametrize("workload", sorted(WORKLOADS))
    def test_it_keeps_its_claims_where_nothing_breaks(self, workload: str) -> None:
        plan = Plan(scenario_of(workload), self.protocol, 1, runtime="sim", options=self.options, schedule=())
        done = in_memory.run(plan)
        assert (done.judgement.verdict, sorted(done.names)) == ("holds", []), explained(done)

    def test_no_reachable_state_of_a_small_case_breaks_its_claims(self) -> None:
        for result in ModelCheck(self.protocol, self.options, bounds=self.bounds).results():
            assert not result.violation, f"{result.case.name}: {result.violation}"

    def test_it_keeps_its_claims_whatever_is_drawn(self) -> None:
        @settings(
            max_examples=self.examples, phases=self.phases, deadline=None, suppress_health_check=list(HealthCheck)
        )
        @given(plans(self.protocol))
        def holds(plan: Plan) -> None:
            done = in_memory.run(replace(plan, options=self.options))
            note(explained(done))
            assert done.judgement.verdict != "violated"

        holds()

    def test_the_same_seed_takes_the_same_course(self) -> None:
        plan = Plan(scenario_of("retry"), self.protocol, 7, runtime="sim", options=self.options)
        assert in_memory.run(plan).digest == in_memory.run(plan).digest

    def loaded(self) -> Protocol:
        return load(self.protocol)


def scenario_of(workload: str, duration_s: float = LONGEST_S) -> Scenario:
    """Return a small scenario without faults."""
    return Scenario("drawn", "drawn", workload, WORKLOADS[workload]().lighter(), duration_s)


def explained(done: InMemoryRun) -> str:
    """Return the reasons for a failed run, for the message of the assertion."""
    reasons = [violation.explanation for result in done.judgement.results for violation in result.violated]
    return "\n".join([str(done.judgement.verdict), *done.judgement.reasons, *reasons])
