"""A run for tests: recorded into a folder and judged."""

from pathlib import Path
from typing import Any

from harness.report.finish import Finished, finish
from harness.run.plan import Plan
from harness.run.record import record


def conduct(plan: Plan, runs: Path, *arguments: Any, **settings: Any) -> Finished:
    return finish(record(plan, runs, *arguments, **settings))
