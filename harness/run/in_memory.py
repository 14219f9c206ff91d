"""One run that leaves nothing behind but what is known of it: for runs of which there are thousands."""

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
from harness.run.record import abandon, digest, whole


@dataclass(frozen=True, slots=True)
class Single:
    """`schedule` are the faults that there were, `digest` is equal for two runs that took the same course."""

    history: History
    judgement: Judgement
    schedule: tuple[Fault, ...]
    digest: str
    interrupted: bool

    @property
    def names(self) -> frozenset[str]:
        """Of what was claimed and violated."""
        return frozenset(each.name for result in self.judgement.results for each in result.violated)


def run(plan: Plan) -> Single:
    """Run and judge, in memory. What goes wrong inside the simulation makes the verdict `unknown`."""
    there = plan.environment()
    names = Names()
    tape = MemoryRecorder(plan.header(), there.clock, names)
    engine = RunEngine(plan, there, tape, names)
    interrupted = False
    try:
        interrupted = there.run(whole(engine))
        if interrupted:
            abandon(tape, "interrupted")
    except EnvironmentFailure as failure:
        with suppress(HistoryError):  # it was told before
            abandon(tape, str(failure))
    finally:
        there.clear()
    history = tape.history()
    return Single(history, examine(history), tuple(engine.schedule or ()), digest(there.trace(), history), interrupted)
