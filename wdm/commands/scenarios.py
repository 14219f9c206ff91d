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
    packaged = [book.read(path) for path in book.packaged().values()]
    if as_json:
        ui.document([_described(scenario) for scenario in packaged])
    else:
        rows = [
            (scenario.name, scenario.workload_name, f"{scenario.duration_s:g}", scenario.summary)
            for scenario in packaged
        ]
        ui.table(("scenario", "workload", "seconds", "faults"), rows)
    ui.next_step(f"`wdm chaos {book.DEFAULT}`")
    return OK


def _described(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "summary": scenario.summary,
        "workload": {"name": scenario.workload_name, **msgspec.to_builtins(scenario.workload)},
        "duration_s": scenario.duration_s,
        "workers": scenario.workers,
        "copies": scenario.copies,
        "gateways": scenario.gateways,
        "brokers": scenario.brokers,
        "clients_repeat": scenario.clients_repeat,
        "durability": scenario.durability,
        "must_hold": list(scenario.must_hold),
        "faults": [fault.kind for fault in scenario.faults],
    }
