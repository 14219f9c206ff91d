"""The folder of a bench: a manifest, and `runs/` with one run folder for each case and round."""

from pathlib import Path
from typing import Annotated, Any

import msgspec

from harness import formats
from harness.metrics import thresholds
from harness.run.folder import RunFolder
from protocols.copies.replication import CopiesValue
from protocols.errors import UsageError

FILE = "bench.json"
"""The manifest, which marks the folder of a bench: the planned cases, and the runs so far."""

RUNS = "runs"


Name = Annotated[str, msgspec.Meta(pattern=r"^[^/\0]+$")]


class CaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of every case in the manifest; others may stand beside them."""

    protocol: str
    scenario: str
    transport: str
    workers: int
    items: int
    skew: float
    pace: dict[str, Any]
    copies: CopiesValue = 1


class BenchRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run: its case, its round, and its folder below `runs`."""

    case: str
    round: int
    folder: Name


class BenchManifest(msgspec.Struct, kw_only=True):
    """The document `bench.json`. `cases` has the settings of each case by name, in the order of the comparison.

    `complete` is true after the last run; `trouble` is the reason of an early end. `thresholds` are the texts of the caller.
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


def describe_setting(value: float | str) -> str:
    """Return a setting of a load in words."""
    return value if isinstance(value, str) else f"{value:g}"


def describe_pace(rate_per_s: float | None, clients: int, limit_p99_ms: float | None) -> str:
    """Describe a load: `100/s`, `1 client`, or `p99 within 50 ms`."""
    if limit_p99_ms is not None:
        return f"p99 within {limit_p99_ms:g} ms"
    if rate_per_s is None:
        return f"{clients} client{'' if clients == 1 else 's'}"
    return f"{rate_per_s:g}/s"


class BenchFolder(RunFolder):
    """The folder of a bench. Each write raises `EnvironmentFailure` if the disk rejects it."""

    @property
    def runs(self) -> Path:
        """The folder of the run folders."""
        return self.path / RUNS

    def save(self, manifest: BenchManifest) -> None:
        """Replace the manifest on disk."""
        """Write the manifest."""
        self.write(FILE, msgspec.json.format(msgspec.json.encode(manifest)))

    def manifest(self) -> BenchManifest:
        """Read the manifest. Raises `ValueError` if it is damaged or of another version."""
        return read(self.path)


def read(path: Path) -> BenchManifest:
    """Read the manifest in the folder `path`. Raises `formats.Unreadable` if it is damaged or of another format."""
    file, way_out = path / FILE, "`wdm report` shows each run below `runs` by its folder, `wdm bench` runs all anew"
    document = formats.document(file, (formats.BENCH_RECORD,), way_out)
    try:
        manifest = msgspec.convert(document, BenchManifest)
        for case in (*manifest.cases.values(), *(manifest.cases.get(run.case) for run in manifest.runs)):
            msgspec.convert(case, CaseSettings)
        for text in manifest.thresholds:
            thresholds.parse(text)
    except (msgspec.ValidationError, UsageError) as error:
        raise formats.damaged(file, error, way_out) from error
    return manifest


def is_bench(path: Path) -> bool:
    """Return whether a folder is one of a bench."""
    return (path / FILE).is_file()
