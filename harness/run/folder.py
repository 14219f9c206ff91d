"""The folder of a run, `wdm-runs/<time>-<protocol>-<seed>/`, and the link `latest` to the last one."""

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import tomli_w

from harness.errors import EnvironmentFailure

DEFAULT = "wdm-runs"
LATEST = "latest"
HISTORY = "history.ndjson"
TRACE = "trace.txt"
"""The file with every event of a simulated run, in the order of time."""


class RunFolder:
    """The folder of one run. Its methods raise `EnvironmentFailure` if the disk fails."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def make(cls, runs: Path, name: str) -> Self:
        """Make the folder `<time>-<name>` in `runs`; a second one in the same second gets a number behind its name."""
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
        try:
            runs.mkdir(parents=True, exist_ok=True)
            for free in _free(stem):
                with suppress(FileExistsError):
                    (runs / free).mkdir()
                    return cls(runs / free)
        except OSError as error:
            raise _failure(runs, error) from error
        raise AssertionError("there is always one more name")

    @property
    def history(self) -> Path:
        """The file of the history."""
        return self.path / HISTORY

    @property
    def report(self) -> Path:
        """The file of the report as text."""
        return self.path / "report.txt"

    @property
    def page(self) -> Path:
        """The file of the report as a page."""
        return self.path / "report.html"

    @property
    def results(self) -> Path:
        """The file of the results as JSON."""
        return self.path / "results.json"

    def write(self, name: str, data: str | bytes) -> None:
        """Write a whole file: a failure or a kill halfway leaves the former file, or none."""
        target, part = self.path / name, self.path / f"{name}.part"
        try:
            part.write_bytes(data.encode() if isinstance(data, str) else data)
            part.replace(target)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise _failure(target, error) from error

    def keep_logs(self, logs: Path | None) -> None:
        """Copy the logs of the nodes."""
        try:
            if logs is not None and logs.is_dir():
                shutil.copytree(logs, self.path / "logs", dirs_exist_ok=True, copy_function=_without_spans)
        except (OSError, shutil.Error) as error:
            raise EnvironmentFailure(f"{self.path}/logs: cannot keep the logs: {error}") from error

    def become_latest(self) -> None:
        """Point the link `latest` at this run, if the file system has links."""
        link = self.path.parent / f".{LATEST}-{self.path.name}"
        with suppress(OSError):
            link.symlink_to(self.path.name)
            link.replace(self.path.parent / LATEST)


def toml(document: dict[str, Any]) -> str:
    """Encode a document as TOML. Values that are None are left out: TOML has none."""
    return tomli_w.dumps(_without_none(document))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_without_none(inner) for inner in value]
    return value


def _without_spans(source: str, target: str) -> None:
    """Copy a log without the spans of transactions, which have a file of their own."""
    from protocols.service.trace import PREFIX  # noqa: PLC0415 - asyncio, where only the name of the folder is wanted

    mark = f"{PREFIX} ".encode()
    with Path(source).open("rb") as lines, Path(target).open("wb") as kept:
        kept.writelines(line for line in lines if not line.startswith(mark))


def _free(stem: str) -> Iterator[str]:
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1


def _failure(path: Path, error: OSError) -> EnvironmentFailure:
    return EnvironmentFailure(f"{path}: cannot write the run: {error.strerror or error}")
