"""The plan of one run, which is all that a repetition needs."""

import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness import faults, formats
from harness.checkers.claims import MUST_HOLD
from harness.checkers.impact import PLANNED
from harness.explore.failpoints import failpoints
from harness.history import Header, RecordedClaims
from harness.run.scenarios import Recurring, Scenario
from harness.runtimes import table
from harness.runtimes.base import Capability
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.environment import Environment
from harness.runtimes.table import DEPLOYABLE
from harness.toml_file import did_you_mean
from protocols.copies.replication import BEST_EFFORT, replication
from protocols.errors import UsageError
from protocols.registry import load
from protocols.service.links import TRANSPORTS, transport
from protocols.service.settings import timing_for

Durability = Literal["everysec", "always"]
CRASH_EVERY_S = 3.0

RUN = (
    "ablate",
    "transport",
    "workers",
    "copies",
    "gateways",
    "brokers",
    "clients_repeat",
    "duration_s",
    "time_limit_s",
    "respawn_after_s",
    MUST_HOLD,
    "wdm",
    "python",
)
"""The keys of a history's configuration that `run.toml` has under `[run]`."""

SET_UP_BEFORE: frozenset[Capability] = frozenset({"links", "log-tail"})
"""Capabilities that a deployment must be made for; without them it has no proxy on its links."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: the scenario, the protocol, the runtime and the seed.

    `named` is the name of the scenario on the command line, `extra` are the flags that changed it. `options` and `ablate` are
    for the protocol. `schedule`, if given, replaces the faults that the scenario draws; `salt` changes the order of events in
    the simulator. One transaction of `trace` leaves spans, none if it is 0. `repeat_command` is the command line that repeats
    the run, if that is not one of `wdm chaos`.
    """

    scenario: Scenario
    protocol: str
    seed: int
    named: str = ""
    runtime: str = "local"
    transport: str = "http"
    options: Mapping[str, str] = field(default_factory=dict)
    ablate: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    schedule: tuple[faults.Fault, ...] | None = None
    salt: int = 0
    trace: int = 0
    repeat_command: str = ""

    @property
    def durability(self) -> Durability:
        """The durability of the stores."""
        return "always" if self.scenario.durability == "always" else "everysec"

    def spec(self) -> Spec:
        """Return the deployment. Raises `UsageError` naming the unknown protocol, option, safeguard or transport."""
        spec = Spec(
            protocol=self.protocol,
            runtime=self.runtime if self.runtime in DEPLOYABLE else "local",
            transport=self.transport,
            workers=self.scenario.workers,
            copies=self.scenario.copies,
            gateways=self.scenario.gateways,
            brokers=self.scenario.brokers,
            durability=self.durability,
            respawn_after_s=self.scenario.respawn_after_s,
            time_limit_s=self.scenario.time_limit_s,
            options=dict(self.options),
            ablate=self.ablate,
            trace=self.trace,
            breakable=any(faults.kind(fault.kind).needs & SET_UP_BEFORE for fault in self.scenario.faults),
        )
        spec.check()
        if self.runtime == "sim" and not transport(self.transport).simulated:
            known = ", ".join(name for name, candidate in TRANSPORTS.items() if candidate.simulated)
            raise UsageError(
                f"the simulator has no transport {self.transport!r}, it has: {known}, where streams stands for any broker that "
                "delivers until a message is handled; choose one of those, or --runtime local"
            )
        if self.runtime == "sim" and replication(spec.copies).best_effort:
            raise UsageError(
                f"the simulator has no copies={spec.copies}, it has one copy or three with our elector; choose --runtime local"
            )
        if self.runtime == "sim" and spec.brokers > 1:
            raise UsageError(
                f"the simulator has no broker of {spec.brokers} nodes: leave --brokers out, or --runtime local"
            )
        return spec

    def environment(self) -> Environment:
        """Make the environment of the run. Raises `UsageError` naming the known runtimes, or the defect of the plan."""
        return table.runtime(self.runtime).environment(self.spec(), self.seed, self.salt)

    def claims(self) -> RecordedClaims:
        """Return the claims of the protocol as configured. Raises `UsageError` for a claim that no checker judges."""
        protocol = load(self.protocol)
        timing = timing_for(int(self.scenario.time_limit_s * 1000))
        claims = protocol.claims(protocol.configure(self.options, self.ablate, timing))
        fields = {
            "atomicity": claims.atomicity,
            "isolation": claims.isolation,
            "durability": BEST_EFFORT if replication(self.scenario.copies).best_effort else self.durability,
            "recovery_s": claims.recovery_s,
            "blocking_s": claims.blocking_s,
            "outage_s": claims.outage_s,
        }
        try:
            return msgspec.convert(fields, RecordedClaims)
        except msgspec.ValidationError as error:
            raise UsageError(f"protocol {self.protocol!r} has a claim that no checker judges: {error}") from None

    def header(self) -> Header:
        """Return the header of the history. Raises `UsageError` as `claims`."""
        scenario = self.scenario
        config = {
            "command": self.command(),
            "options": dict(self.options),
            "ablate": list(self.ablate),
            "transport": self.transport,
            "workers": scenario.workers,
            "copies": scenario.copies,
            "gateways": scenario.gateways,
            "brokers": scenario.brokers,
            "clients_repeat": scenario.clients_repeat,
            "duration_s": scenario.duration_s,
            "time_limit_s": scenario.time_limit_s,
            "respawn_after_s": scenario.respawn_after_s,
            "workload": msgspec.to_builtins(scenario.workload),
            MUST_HOLD: list(scenario.must_hold),
            PLANNED: self.planned_faults(),
            "wdm": version("wdm"),
            "python": platform.python_version(),
        }
        return Header(
            protocol=self.protocol,
            claims=self.claims(),
            scenario=scenario.name,
            workload=scenario.workload_name,
            durability=self.durability,
            runtime=self.runtime,
            seed=self.seed,
            config=config,
        )

    def planned_faults(self) -> list[dict[str, Any]]:
        """Return the faults of the plan: the schedule if there is one, else the recurring faults of the scenario."""
        if self.schedule is not None:
            return [_row(fault) for fault in self.schedule]
        return [
            {"kind": fault.kind, "target": list(fault.targets), "at_s": list(fault.at_s), "for_s": list(fault.for_s)}
            for fault in self.scenario.faults
        ]

    def kept_in(self, folder: Path) -> "Plan":
        """Return the plan with the command that repeats it from `folder`, if its faults were chosen and not drawn."""
        if self.repeat_command or self.schedule is None:
            return self
        return replace(self, repeat_command=shlex.join(["wdm", "replay", str(folder)]))

    def command(self) -> str:
        """Return the command line that repeats this run; `kept_in` gives a run with chosen faults its own."""
        if self.repeat_command:
            return self.repeat_command
        if self.schedule is not None:
            return "wdm replay"
        parts = ["wdm", "chaos", self.named or self.scenario.name, "--protocol", self.protocol]
        parts += ["--runtime", self.runtime, "--seed", str(self.seed)]
        if self.transport != "http":
            parts += ["--transport", self.transport]
        for name, value in self.options.items():
            parts += ["--option", f"{name}={value}"]
        for name in self.ablate:
            parts += ["--ablate", name]
        return shlex.join([*parts, *self.extra])


def simulated(scenario: Scenario) -> Scenario:
    """Return the scenario on the small scale of the simulator."""
    return replace(scenario, workload=scenario.workload.lighter())


def crashing_at(plan: Plan, failpoint: str) -> Plan:
    """Return the plan with one fault in place of all others: every process that passes the failpoint dies, again and again.

    Raises `UsageError` if the protocol has no such failpoint.
    """
    protocol = load(plan.protocol)
    known = failpoints(protocol, protocol.configure(plan.options, plan.ablate))
    if failpoint not in known:
        raise UsageError(f"{plan.protocol} has no failpoint {failpoint!r}{did_you_mean(failpoint, known)}")
    every = (CRASH_EVERY_S, CRASH_EVERY_S)
    fault = Recurring("crash-at", (), (1.0, 1.0), (CRASH_EVERY_S - 0.1,) * 2, every, {"failpoint": (failpoint,)})
    extra = (*plan.extra, "--crash-at", failpoint)
    return replace(plan, scenario=replace(plan.scenario, faults=(fault,)), extra=extra)


NEVER_DRAWN = -1
"""The number of faults in the `run.toml` of a run that ended before they were drawn."""


def as_table(plan: Plan, schedule: list[faults.Fault] | None) -> dict[str, Any]:
    """Return the document of `run.toml`: the plan, and every fault with its time; `faults` is the number of faults."""
    header = plan.header()
    return {
        "format": formats.RUN_RECORD,
        "command": header.config["command"],
        "seed": plan.seed,
        "salt": plan.salt,
        "protocol": plan.protocol,
        "runtime": plan.runtime,
        "scenario": plan.scenario.name,
        "summary": plan.scenario.summary,
        "durability": plan.durability,
        "workload": {"name": plan.scenario.workload_name, **header.config["workload"]},
        "claims": msgspec.to_builtins(header.claims),
        "options": header.config["options"],
        "run": {key: header.config[key] for key in RUN},
        "faults": NEVER_DRAWN if schedule is None else len(schedule),
        "fault": [_row(fault) for fault in schedule or ()],
    }


def _row(fault: faults.Fault) -> dict[str, Any]:
    row = {"kind": fault.kind, "target": list(fault.targets), "at_s": fault.at_s, "for_s": fault.for_s}
    return {**row, **fault.settings}
