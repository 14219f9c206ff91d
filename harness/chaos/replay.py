"""The plan of a run that was kept, read back from its `run.toml`."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from harness import faults, formats
from harness.errors import EnvironmentFailure
from harness.run.plan import NEVER_DRAWN, Durability, Plan
from harness.run.scenarios import Scenario
from harness.toml_file import TomlFile
from harness.workload import WORKLOADS

FILE = "run.toml"
FAULT_KEYS = ("kind", "target", "at_s", "for_s")
WAY_OUT = "`wdm check-history` judges what was seen, and `command` in the file, if it is whole, runs it anew"


class OtherVersion(EnvironmentFailure):
    """The run is of another version of wdm, whose code took another course."""


class RunSaid(msgspec.Struct, frozen=True):
    """`[run]`, as far as a run is made of it."""

    wdm: str
    ablate: tuple[str, ...]
    transport: str
    workers: int
    duration_s: float
    time_limit_s: float
    respawn_after_s: float
    must_hold: tuple[str, ...]


class Said(msgspec.Struct, frozen=True):
    """`run.toml`, as far as a run is made of it."""

    protocol: str
    runtime: str
    scenario: str
    summary: str
    durability: Durability
    seed: int
    salt: int
    workload: dict[str, Any]
    options: dict[str, str]
    run: RunSaid
    faults: int
    fault: list[dict[str, Any]] = []


class Row(msgspec.Struct, frozen=True):
    """What every `[[fault]]` says; its other keys are settings of its kind."""

    kind: str
    target: tuple[str, ...]
    at_s: float
    for_s: float


def plan_of(folder: Path) -> Plan:
    """Raises `UsageError` if `run.toml` is missing or damaged, `OtherVersion` if it cannot mean the same any more."""
    file = TomlFile(folder / FILE, "the record of the run")
    found = file.document.get("run")
    theirs, ours = found.get("wdm") if isinstance(found, dict) else None, version("wdm")
    if isinstance(theirs, str) and theirs != ours:
        raise OtherVersion(f"{file.path}: the run is of wdm {theirs}, this is wdm {ours}: install that to replay it")
    try:
        formats.check(file.path, file.document.get("format"), (formats.RUN_RECORD,), WAY_OUT)
    except formats.Unreadable as error:
        raise OtherVersion(str(error)) from error
    try:
        said = msgspec.convert(file.document, Said)
        _whole(file, said)
        return _plan(said)
    except msgspec.ValidationError as error:
        raise file.error_at(f"not a whole record of a run: {error}; {WAY_OUT}") from None


def _whole(file: TomlFile, said: Said) -> None:
    """Raise `UsageError` unless every fault of the run is there: without some, it would be another run."""
    if said.faults == NEVER_DRAWN:
        raise file.error_at("the run ended before its faults were drawn: run it again with its `command`", "faults")
    if said.faults != len(said.fault):
        raise file.error_at(
            f"faults = {said.faults}, and there are {len(said.fault)}: the record of the run is not whole", "faults"
        )


def _plan(said: Said) -> Plan:
    name, load = said.workload.get("name"), {key: value for key, value in said.workload.items() if key != "name"}
    if not isinstance(name, str) or name not in WORKLOADS:
        raise msgspec.ValidationError(f"there is no workload {name!r}")
    run = said.run
    scenario = Scenario(
        name=said.scenario,
        summary=said.summary,
        workload_name=name,
        workload=msgspec.convert(load, WORKLOADS[name]),
        duration_s=run.duration_s,
        durability=said.durability,
        workers=run.workers,
        time_limit_s=run.time_limit_s,
        respawn_after_s=run.respawn_after_s,
        must_hold=run.must_hold,
    )
    return Plan(
        scenario=scenario,
        protocol=said.protocol,
        seed=said.seed,
        runtime=said.runtime,
        options=said.options,
        ablate=run.ablate,
        transport=run.transport,
        schedule=tuple(_schedule(said.fault)),
        salt=said.salt,
    )


def _schedule(rows: list[dict[str, Any]]) -> Iterator[faults.Fault]:
    for row in rows:
        said = msgspec.convert(row, Row)
        settings = {key: value for key, value in row.items() if key not in FAULT_KEYS}
        yield faults.fault(said.kind, said.target, said.at_s, said.for_s, settings)
