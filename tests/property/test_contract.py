"""The contract that every protocol gets for free, on our own; and that it catches the one which keeps nothing."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from harness.chaos.replay import FILE, load_plan
from harness.explore.breadth import Bounds
from harness.run.folder import toml
from harness.run.plan import Plan, as_table
from wdm.testing import ProtocolContract, ShopMachine, plans

FEW_EXAMPLES = 6
SMALL = Bounds(crashes=1, states=2_000)
"""`tests/explore/test_every_state.py` searches all states of the small cases."""


class TestTwoPhaseCommit(ProtocolContract):
    protocol = "2pc"
    examples = FEW_EXAMPLES
    bounds = SMALL


class TwoPhaseShop(ShopMachine):
    protocol = "2pc"


TwoPhaseShop.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestTwoPhaseShop = TwoPhaseShop.TestCase


@pytest.mark.slow
class TestEscrow(TestTwoPhaseCommit):
    options: ClassVar = {"locks": "escrow", "reads": "settled"}
    examples = ProtocolContract.examples
    bounds = ProtocolContract.bounds


class EscrowShop(TwoPhaseShop):
    options: ClassVar = {"locks": "escrow"}


EscrowShop.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestEscrowShop = EscrowShop.TestCase


@pytest.mark.slow
class TestSaga(ProtocolContract):
    protocol = "saga"


@pytest.mark.slow
def test_two_phase_commit_keeps_its_claims_in_as_many_runs_as_a_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TestTwoPhaseCommit, "examples", ProtocolContract.examples)
    TestTwoPhaseCommit().test_it_keeps_its_claims_whatever_is_drawn()


class SagaShop(ShopMachine):
    protocol = "saga"


SagaShop.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestSagaShop = SagaShop.TestCase


@pytest.mark.slow
class TestLuaAtomic(ProtocolContract):
    protocol = "lua"


class LuaShop(ShopMachine):
    protocol = "lua"


LuaShop.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestLuaShop = LuaShop.TestCase


class Unprotected(ProtocolContract):
    protocol = "unprotected"
    examples = 400
    phases = (Phase.generate,)  # that it is caught is enough, it need not be by the smallest


class UnprotectedShop(ShopMachine):
    protocol = "unprotected"


def test_the_control_is_caught_by_the_search() -> None:
    with pytest.raises(AssertionError, match="uncommitted effect"):
        Unprotected().test_no_reachable_state_of_a_small_case_breaks_its_claims()


def test_the_control_is_caught_by_what_is_drawn() -> None:
    with pytest.raises(AssertionError):
        Unprotected().test_it_keeps_its_claims_whatever_is_drawn()


def test_the_control_is_caught_step_by_step() -> None:
    case = UnprotectedShop.TestCase()
    case.settings = settings(
        max_examples=1_000, stateful_step_count=30, deadline=None, phases=[Phase.generate], database=None,
        derandomize=True,  # that it can be caught is what is shown; 300 draws of chance once were not enough
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    with pytest.raises(AssertionError):
        case.runTest()


@settings(max_examples=50, deadline=None)
@given(plan=plans("2pc"))
def test_a_run_is_read_back_from_its_record_as_it_was(plan: Plan) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / FILE).write_text(toml(as_table(plan, list(plan.schedule or ()))))
        assert load_plan(Path(folder)) == plan
