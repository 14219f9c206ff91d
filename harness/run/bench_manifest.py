"""What a bench leaves: a run folder whose `runs/` has one ordinary run folder for each case and round."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from harness import formats
from harness.metrics import thresholds
from harness.run.folder import HISTORY, RunFolder
from protocols.errors import UsageError

FILE = "bench.json"
"""It makes a folder one of a bench: what was to be run, and what was."""

RUNS = "runs"


Name = Annotated[str, msgspec.Meta(pattern=r"^[^/\0]+$")]


class CaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every row of a bench says of its case; other keys are as they are."""

    protocol: str
    scenario: str
    transport: str
    workers: int
    items: int
    skew: float
    pace: dict[str, Any]


class BenchRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run: which case it is of, in which round, and its folder below `runs`."""

    case: str
    round: int
    folder: Name


class BenchManifest(msgspec.Struct, kw_only=True):
    """`cases` are rows of settings by name, in the order of the comparison; `complete` once all was run.

    `trouble` is why it ended early. `thresholds` are as they were given.
    """

    format: int = formats.BENCH_RECORD
    wdm: str
    command: str
    seed: int
    rounds: int
    duration_s: float
    runtime: str
    durability: str
    machine: dict[str, Any]
    thresholds: list[str]
    cases: dict[str, dict[str, Any]]
    runs: list[BenchRun] = []
    complete: bool = False
    trouble: str = ""


def describe_pace(rate_per_s: float | None, clients: int, limit_p99_ms: float | None) -> str:
    """Describe a load: `100/s`, `1 client`, or `p99 within 50 ms`."""
    if limit_p99_ms is not None:
        return f"p99 within {limit_p99_ms:g} ms"
    if rate_per_s is None:
        return f"{clients} client{'' if clients == 1 else 's'}"
    return f"{rate_per_s:g}/s"


class BenchFolder(RunFolder):
    """Everything it does raises `EnvironmentFailure` if the disk does not let it."""

    @property
    def runs(self) -> Path:
        return self.path / RUNS

    def keep(self, manifest: BenchManifest) -> None:
        self.write(FILE, msgspec.json.format(msgspec.json.encode(manifest)))

    def manifest(self) -> BenchManifest:
        """Raises `ValueError` if it is damaged or of another version."""
        return read(self.path)

    def parts(self) -> Iterator[RunFolder]:
        """The runs that left a history, in the order in which they were run."""
        for kept in self.manifest().runs:
            if (self.runs / kept.folder / HISTORY).is_file():
                yield RunFolder(self.runs / kept.folder)


def read(path: Path) -> BenchManifest:
    """Raises `formats.Unreadable` if it is damaged or of another format."""
    file, way_out = path / FILE, "`wdm report` shows each run below `runs` by its folder, `wdm bench` runs all anew"
    said = formats.document(file, (formats.BENCH_RECORD,), way_out)
    try:
        manifest = msgspec.convert(said, BenchManifest)
        for case in (*manifest.cases.values(), *(manifest.cases.get(kept.case) for kept in manifest.runs)):
            msgspec.convert(case, CaseSettings)
        for text in manifest.thresholds:
            thresholds.parse(text)
    except (msgspec.ValidationError, UsageError) as error:
        raise formats.damaged(file, error, way_out) from error
    return manifest


def is_bench(path: Path) -> bool:
    return (path / FILE).is_file()
