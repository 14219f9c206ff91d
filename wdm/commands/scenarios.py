"""`wdm scenarios`: the packaged scenarios."""

from typing import Any

import click
import msgspec

from harness.run import scenarios as book
from harness.run.scenarios import Scenario
from wdm import ui
from wdm.exits import OK
from wdm.options import as_json, common


@click.command()
@common
@as_json
def scenarios(as_json: bool) -> int:
    """List the scenarios for `wdm chaos` and `wdm bench`."""
    found = [book.read(path) for path in book.packaged().values()]
    if as_json:
        ui.document([_described(one) for one in found])
    else:
        rows = [(one.name, one.workload_name, f"{one.duration_s:g}", one.summary) for one in found]
        ui.table(("scenario", "workload", "seconds", "faults"), rows)
    ui.next_step(f"`wdm chaos {book.DEFAULT}`")
    return OK


def _described(one: Scenario) -> dict[str, Any]:
    return {
        "name": one.name,
        "summary": one.summary,
        "workload": {"name": one.workload_name, **msgspec.to_builtins(one.workload)},
        "duration_s": one.duration_s,
        "workers": one.workers,
        "durability": one.durability,
        "must_hold": list(one.must_hold),
        "faults": [each.kind for each in one.faults],
    }
