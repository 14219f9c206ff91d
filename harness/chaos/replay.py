"""The plan of a run that was kept, read back from its `run.toml`."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from harness import faults
from harness.chaos.plan import NEVER_DRAWN, RUN, Plan
from harness.runtimes.base import EnvironmentFailure
from harness.scenarios import Scenario
from harness.toml_file import TomlFile
from harness.workload import WORKLOADS

FILE = "run.toml"
FAULT_KEYS = ("kind", "target", "at_s", "for_s")


class OtherVersion(EnvironmentFailure):
    """The run is of another version of wdm, whose code took another course."""


def plan_of(folder: Path) -> Plan:
    """Raises `UsageError` if `run.toml` is missing or damaged, `OtherVersion` if it cannot mean the same any more."""
    file = TomlFile(folder / FILE, "the record of the run")
    said = file.document
    ours = version("wdm")
    theirs = said.get("run", {}).get("wdm")
    if theirs != ours:
        raise OtherVersion(f"{file.path}: the run is of wdm {theirs}, this is wdm {ours}: install that to replay it")
    _whole(file)
    try:
        return _plan(said)
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        raise file.wrong(f"not a whole record of a run: {type(error).__name__}: {error}") from None


def _whole(file: TomlFile) -> None:
    """Raise `UsageError` unless every fault of the run is there: without some, it would be another run."""
    counted, there = file.document.get("faults"), len(file.document.get("fault", ()))
    if counted == NEVER_DRAWN:
        raise file.wrong("the run ended before its faults were drawn: run it again with its `command`", "faults")
    if counted != there:
        raise file.wrong(f"faults = {counted!r}, and there are {there}: the record of the run is not whole", "faults")


def _plan(said: dict[str, Any]) -> Plan:
    load = dict(said["workload"])
    name = load.pop("name")
    run = {key: said["run"][key] for key in RUN}
    scenario = Scenario(
        name=said["scenario"],
        summary=said["summary"],
        workload_name=name,
        workload=msgspec.convert(load, WORKLOADS[name]),
        duration_s=run["duration_s"],
        durability=said["durability"],
        workers=run["workers"],
        time_limit_s=run["time_limit_s"],
        respawn_after_s=run["respawn_after_s"],
        must_hold=tuple(run["must_hold"]),
    )
    return Plan(
        scenario=scenario,
        protocol=said["protocol"],
        seed=said["seed"],
        runtime=said["runtime"],
        options=said["options"],
        ablate=tuple(run["ablate"]),
        transport=run["transport"],
        schedule=tuple(_schedule(said.get("fault", []))),
        salt=said["salt"],
    )


def _schedule(rows: list[dict[str, Any]]) -> Iterator[faults.Fault]:
    for row in rows:
        settings = {key: value for key, value in row.items() if key not in FAULT_KEYS}
        yield faults.fault(row["kind"], row["target"], row["at_s"], row["for_s"], settings)
