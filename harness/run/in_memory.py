"""One run without a run folder, for campaigns of thousands of runs."""

from contextlib import suppress
from dataclasses import dataclass

from harness.checkers import Judgement
from harness.checkers.verdict import examine
from harness.errors import EnvironmentFailure
from harness.faults import Fault
from harness.history import History, HistoryError, MemoryRecorder
from harness.run.engine import RunEngine
from harness.run.plan import Plan
from harness.run.quiescence import Names
from harness.run.record import abandon, digest, run_and_stop


@dataclass(frozen=True, slots=True)
class InMemoryRun:
    """A judged run. `schedule` has the drawn faults; `digest` is equal for two equal executions."""

    history: History
    judgement: Judgement
    schedule: tuple[Fault, ...]
    digest: str
    interrupted: bool

    @property
    def names(self) -> frozenset[str]:
        """The names of the violations of claimed properties."""
        return frozenset(violation.name for result in self.judgement.results for violation in result.violated)


def run(plan: Plan) -> InMemoryRun:
    """Run `plan` and judge its history, both in memory. A failure of the environment makes the verdict `unknown`."""
    environment = plan.environment()
    names = Names()
    recorder = MemoryRecorder(plan.header(), environment.clock, names)
    engine = RunEngine(plan, environment, recorder, names)
    interrupted = False
    try:
        interrupted = environment.run(run_and_stop(engine))
        if interrupted:
            abandon(recorder, "interrupted")
    except EnvironmentFailure as failure:
        with suppress(HistoryError):  # `run_and_stop` has recorded the reason before
            abandon(recorder, str(failure))
    finally:
        environment.clear()
    history = recorder.history()
    return InMemoryRun(
        history, examine(history), tuple(engine.schedule or ()), digest(environment.trace(), history), interrupted
    )
