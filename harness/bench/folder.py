"""What a bench leaves: a run folder whose `runs/` has one ordinary run folder for each case and round."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from harness.chaos.folder import HISTORY, RunFolder

FILE = "bench.json"
"""It makes a folder one of a bench: what was to be run, and what was."""

RUNS = "runs"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One run: which case it is of, in which round, and its folder below `runs`."""

    case: str
    round: int
    folder: str


class Ledger(msgspec.Struct, kw_only=True):
    """`cases` are rows of settings by name, in the order of the comparison; `complete` once all was run.

    `trouble` is why it ended early. `thresholds` are as they were given.
    """

    format: int = 1
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
    runs: list[Kept] = []
    complete: bool = False
    trouble: str = ""


class BenchFolder(RunFolder):
    """Everything it does raises `EnvironmentFailure` if the disk does not let it."""

    @classmethod
    def new(cls, runs: Path, seed: int) -> "BenchFolder":
        return cls(cls.make(runs, "bench", seed).path)

    @property
    def runs(self) -> Path:
        return self.path / RUNS

    def keep(self, ledger: Ledger) -> None:
        self.write(FILE, msgspec.json.format(msgspec.json.encode(ledger)))

    def ledger(self) -> Ledger:
        """Raises `ValueError` if it is damaged or of another version."""
        return read(self.path)

    def parts(self) -> Iterator[RunFolder]:
        """The runs that left a history, in the order in which they were run."""
        for kept in self.ledger().runs:
            if (self.runs / kept.folder / HISTORY).is_file():
                yield RunFolder(self.runs / kept.folder)


def read(path: Path) -> Ledger:
    """Raises `ValueError` if it is damaged or of another version."""
    try:
        return msgspec.json.decode((path / FILE).read_bytes(), type=Ledger)
    except (OSError, msgspec.DecodeError) as error:
        raise ValueError(f"{path / FILE}: no record of a bench that this wdm can read: {error}") from error


def is_bench(path: Path) -> bool:
    return (path / FILE).is_file()
