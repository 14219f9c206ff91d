"""What one run is: everything that has to be known to repeat it."""

import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness import faults, formats
from harness.checkers.impact import ASKED
from harness.checkers.verdict import MUST_HOLD
from harness.explore.failpoints import failpoints
from harness.history import Header, RecordedClaims
from harness.run.scenarios import Recurring, Scenario
from harness.runtimes import table
from harness.runtimes.base import Capability
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.environment import Environment
from harness.runtimes.table import DEPLOYABLE
from harness.toml_file import did_you_mean
from protocols.errors import UsageError
from protocols.registry import load
from protocols.service.links import TRANSPORTS, transport
from protocols.service.settings import timing_for

Durability = Literal["everysec", "always"]
CRASH_EVERY_S = 3.0

RUN = ("ablate", "transport", "workers", "duration_s", "time_limit_s", "respawn_after_s", MUST_HOLD, "wdm", "python")
"""What of a history's configuration stands under `[run]` in `run.toml`."""

SET_UP_BEFORE: frozenset[Capability] = frozenset({"links", "log-tail"})
"""What a deployment must be made for; one that needs none of it has no proxy on its links."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`named` is the scenario as the user called it. `options` and `ablate` are the protocol's.

    `extra` are the flags that changed the scenario. `schedule`, if given, is to happen instead of what the scenario draws;
    `salt` is another course of chance in the simulator. `trace`: of so many transactions the services note one, 0 for none.
    `told` is the command line that repeats it, where that is not one of `wdm chaos`.
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
    told: str = ""

    @property
    def durability(self) -> Durability:
        return "always" if self.scenario.durability == "always" else "everysec"

    def spec(self) -> Spec:
        """The deployment. Raises `UsageError` if the protocol does not exist or has no such option or safeguard."""
        spec = Spec(
            protocol=self.protocol,
            runtime=self.runtime if self.runtime in DEPLOYABLE else "local",
            transport=self.transport,
            workers=self.scenario.workers,
            durability=self.durability,
            respawn_after_s=self.scenario.respawn_after_s,
            time_limit_s=self.scenario.time_limit_s,
            options=dict(self.options),
            ablate=self.ablate,
            trace=self.trace,
            breakable=any(faults.kind(one.kind).needs & SET_UP_BEFORE for one in self.scenario.faults),
        )
        spec.check()
        if self.runtime == "sim" and not transport(self.transport).simulated:
            there = ", ".join(name for name, one in TRANSPORTS.items() if one.simulated)
            raise UsageError(
                f"the simulator has no transport {self.transport!r}, it has: {there}, where streams stands for any broker that "
                "delivers until a message is handled; choose one of those, or --runtime local"
            )
        return spec

    def environment(self) -> Environment:
        """Make the surroundings of the run. Raises `UsageError` naming the runtimes there are, or the fault of the plan."""
        return table.runtime(self.runtime).environment(self.spec(), self.seed, self.salt)

    def claims(self) -> RecordedClaims:
        """What the protocol promises, configured like this. Raises `UsageError` if that is none of the known promises."""
        protocol = load(self.protocol)
        timing = timing_for(int(self.scenario.time_limit_s * 1000))
        made = protocol.claims(protocol.configure(self.options, self.ablate, timing))
        said = {
            "atomicity": made.atomicity,
            "isolation": made.isolation,
            "durability": self.durability,
            "recovery_s": made.recovery_s,
            "blocking_s": made.blocking_s,
            "outage_s": made.outage_s,
        }
        try:
            return msgspec.convert(said, RecordedClaims)
        except msgspec.ValidationError as error:
            raise UsageError(f"protocol {self.protocol!r} claims what no checker knows: {error}") from None

    def header(self) -> Header:
        scenario = self.scenario
        config = {
            "command": self.command(),
            "options": dict(self.options),
            "ablate": list(self.ablate),
            "transport": self.transport,
            "workers": scenario.workers,
            "duration_s": scenario.duration_s,
            "time_limit_s": scenario.time_limit_s,
            "respawn_after_s": scenario.respawn_after_s,
            "workload": msgspec.to_builtins(scenario.workload),
            MUST_HOLD: list(scenario.must_hold),
            ASKED: self.asked(),
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

    def asked(self) -> list[dict[str, Any]]:
        """The faults that shall happen: what was chosen, else what the scenario draws from."""
        if self.schedule is not None:
            return [_row(fault) for fault in self.schedule]
        return [
            {"kind": one.kind, "target": list(one.targets), "at_s": list(one.at_s), "for_s": list(one.for_s)}
            for one in self.scenario.faults
        ]

    def kept_in(self, folder: Path) -> "Plan":
        """Return the plan with the command that repeats it from `folder`, if its faults were chosen and not drawn."""
        if self.told or self.schedule is None:
            return self
        return replace(self, told=shlex.join(["wdm", "replay", str(folder)]))

    def command(self) -> str:
        """Return the command line that repeats this run; `kept_in` gives a run with chosen faults its own."""
        if self.told:
            return self.told
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
    """The scenario on the small scale of the simulator."""
    return replace(scenario, workload=scenario.workload.lighter())


def crashing_at(plan: Plan, failpoint: str) -> Plan:
    """The plan with this one fault instead of its scenario's: whoever passes the failpoint dies, again and again.

    Raises `UsageError` if the protocol has no such failpoint.
    """
    protocol = load(plan.protocol)
    there = failpoints(protocol, protocol.configure(plan.options, plan.ablate))
    if failpoint not in there:
        raise UsageError(f"{plan.protocol} has no failpoint {failpoint!r}{did_you_mean(failpoint, there)}")
    every = (CRASH_EVERY_S, CRASH_EVERY_S)
    fault = Recurring("crash-at", (), (1.0, 1.0), (CRASH_EVERY_S - 0.1,) * 2, every, {"failpoint": (failpoint,)})
    extra = (*plan.extra, "--crash-at", failpoint)
    return replace(plan, scenario=replace(plan.scenario, faults=(fault,)), extra=extra)


NEVER_DRAWN = -1
"""As the number of faults in `run.toml`: the run ended before it was known."""


def as_table(plan: Plan, schedule: list[faults.Fault] | None) -> dict[str, Any]:
    """`run.toml`: the plan, what it came to, and every fault with its time; `faults` is how many there are."""
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
