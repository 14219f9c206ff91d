"""One examination: the shop, the limits, and the folder for its rounds."""

import asyncio
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import msgspec

from harness.checkers.claims import MUST_HOLD
from harness.checkers.verdict import JUDGED_BY
from harness.history import Header, History, RecordedClaims
from harness.judge.busyness import Busyness
from harness.judge.defects import DefectFinding
from harness.judge.known_ids import KnownIds
from harness.judge.shop import ExaminedShop
from harness.workload.base import Workload

CHECKED_BY = (
    "conservation",
    "atomicity",
    "exactly-once",
    "answers",
    "order-reads",
    "balance-reads",
    "isolation",
    "stats",
)
"""The checkers that need nothing but the public API."""

WRITE_WITHIN_S = 2.0
"""Seconds of the budget that are kept for the judgement and the files."""

EXTERNAL = "external"
"""The name of the runtime in the history of a shop that somebody else runs."""


@dataclass(slots=True)
class Limits:
    """The limits of an examination, in seconds: of the whole, of one answer, and of the settling after the load.

    `repeat` is the number of kills of each node, `limit_p99_ms` the latency within which the load part searches its rate.
    """

    budget_s: float = 120.0
    answer_s: float = 15.0
    settle_s: float = 10.0
    repeat: int = 2
    limit_p99_ms: float = 500.0

    @property
    def scale(self) -> float:
        """The size of loads: 1 for a budget of two minutes, at most 10, at least 0.1."""
        return min(10.0, max(0.1, self.budget_s / 120))


class Judged(msgspec.Struct, frozen=True):
    """One conducted and judged round."""

    history: History
    findings: tuple[DefectFinding, ...]
    reasons: tuple[str, ...]


@dataclass(slots=True)
class Examination:
    """The examination of one shop. `isolation` is the level that it claims; `say` receives lines of progress.

    `ends_s` is the time of the event loop at which the budget is used up, `requests_per_s` the rate of its first
    answers. `kills` are the rounds with kills, which two parts share, None before them; `again` marks the files of a repetition.
    """

    shop: ExaminedShop
    folder: Path
    seed: int
    limits: Limits
    isolation: str = "read-committed"
    say: Callable[[str], None] = lambda _: None
    busyness: Busyness = field(default_factory=Busyness)
    ends_s: float = 0.0
    requests_per_s: float = 100.0
    ids: KnownIds = field(default_factory=KnownIds)
    kills: list[Judged] | None = None
    again: str = ""

    def begin(self) -> None:
        """Start the time of the budget."""
        self.ends_s = asyncio.get_running_loop().time() + self.limits.budget_s - WRITE_WITHIN_S

    @property
    def left_s(self) -> float:
        """The rest of the budget in seconds, at least zero."""
        return max(0.0, self.ends_s - asyncio.get_running_loop().time())

    def header(
        self, name: str, workload: Workload | None = None, faults: list[dict[str, object]] | None = None
    ) -> Header:
        """Return the header of the history of a round."""
        claims = RecordedClaims(
            atomicity="atomic",
            isolation=msgspec.convert(self.isolation, type=RecordedClaims.__annotations__["isolation"]),
            durability="always",
        )
        config = {
            "command": f"wdm judge {self.shop.address}",
            "workload": msgspec.to_builtins(workload) if workload else {},
            MUST_HOLD: [],
            JUDGED_BY: list(CHECKED_BY),
            "faults": faults or [],
            "nodes": list(self.shop.nodes),
            "settle_s": self.limits.settle_s,
            "wdm": version("wdm"),
            "python": platform.python_version(),
        }
        return Header(
            protocol=self.shop.address,
            claims=claims,
            scenario=f"judge: {name}",
            workload=type(workload).__name__ if workload else "script",
            durability="always",
            runtime=EXTERNAL,
            seed=self.seed,
            config=config,
        )
