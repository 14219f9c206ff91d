"""The plan of a kept run, read back from its `run.toml`."""

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
from protocols.copies.replication import CopiesValue

FILE = "run.toml"
FAULT_KEYS = ("kind", "target", "at_s", "for_s")
WAY_OUT = "`wdm check-history` judges the history, and `command` in the file, if it is whole, repeats the run"


class OtherVersion(EnvironmentFailure):
    """The refusal of a run of another version of wdm, whose code has another execution."""


class RunSection(msgspec.Struct, frozen=True):
    """The keys of `[run]` that a plan needs."""

    wdm: str
    ablate: tuple[str, ...]
    transport: str
    workers: int
    duration_s: float
    time_limit_s: float
    respawn_after_s: float
    must_hold: tuple[str, ...]
    copies: CopiesValue = 1
    gateways: int = 1
    brokers: int = 1
    clients_repeat: bool = False


class RunRecord(msgspec.Struct, frozen=True):
    """The keys of `run.toml` that a plan needs."""

    protocol: str
    runtime: str
    scenario: str
    summary: str
    durability: Durability
    seed: int
    salt: int
    workload: dict[str, Any]
    options: dict[str, str]
    run: RunSection
    faults: int
    fault: list[dict[str, Any]] = []


class FaultRecord(msgspec.Struct, frozen=True):
    """The keys that every `[[fault]]` has; the others are settings of its kind."""

    kind: str
    target: tuple[str, ...]
    at_s: float
    for_s: float


def load_plan(folder: Path) -> Plan:
    """Read the plan of the run in `folder`.

    Raises `UsageError` if `run.toml` is missing or damaged, and `OtherVersion` if another version wrote it.
    """
    file = TomlFile(folder / FILE, "the record of the run")
    section = file.document.get("run")
    theirs, ours = section.get("wdm") if isinstance(section, dict) else None, version("wdm")
    if isinstance(theirs, str) and theirs != ours:
        raise OtherVersion(f"{file.path}: the run is of wdm {theirs}, this is wdm {ours}: install that to replay it")
    try:
        formats.check(file.path, file.document.get("format"), (formats.RUN_RECORD,), WAY_OUT)
    except formats.Unreadable as error:
        raise OtherVersion(str(error)) from error
    try:
        record = msgspec.convert(file.document, RunRecord)
        _check_whole(file, record)
        return _plan(record)
    except msgspec.ValidationError as error:
        raise file.error_at(f"not a whole record of a run: {error}; {WAY_OUT}") from None


def _check_whole(file: TomlFile, record: RunRecord) -> None:
    """Raise `UsageError` unless the record has every fault of the run: a replay without some is another run."""
    if record.faults == NEVER_DRAWN:
        raise file.error_at("the run ended before its faults were drawn: run it again with its `command`", "faults")
    if record.faults != len(record.fault):
        raise file.error_at(
            f"faults = {record.faults}, and there are {len(record.fault)}: the record of the run is not whole", "faults"
        )


def _plan(record: RunRecord) -> Plan:
    name, load = record.workload.get("name"), {key: value for key, value in record.workload.items() if key != "name"}
    if not isinstance(name, str) or name not in WORKLOADS:
        raise msgspec.ValidationError(f"there is no workload {name!r}")
    run = record.run
    scenario = Scenario(
        name=record.scenario,
        summary=record.summary,
        workload_name=name,
        workload=msgspec.convert(load, WORKLOADS[name]),
        duration_s=run.duration_s,
        durability=record.durability,
        workers=run.workers,
        copies=run.copies,
        gateways=run.gateways,
        brokers=run.brokers,
        clients_repeat=run.clients_repeat,
        time_limit_s=run.time_limit_s,
        respawn_after_s=run.respawn_after_s,
        must_hold=run.must_hold,
    )
    return Plan(
        scenario=scenario,
        protocol=record.protocol,
        seed=record.seed,
        runtime=record.runtime,
        options=record.options,
        ablate=run.ablate,
        transport=run.transport,
        schedule=tuple(_schedule(record.fault)),
        salt=record.salt,
    )


def _schedule(rows: list[dict[str, Any]]) -> Iterator[faults.Fault]:
    for row in rows:
        fault = msgspec.convert(row, FaultRecord)
        settings = {key: value for key, value in row.items() if key not in FAULT_KEYS}
        yield faults.fault(fault.kind, fault.target, fault.at_s, fault.for_s, settings)
