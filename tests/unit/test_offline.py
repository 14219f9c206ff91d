"""What makes a root file system may fail in its own way, and takes nobody along."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from harness.errors import EnvironmentFailure
from harness.runtimes.docker import offline

HANGS_UP = """#!/bin/sh
echo half of a file system
echo E: no package of that name >&2
kill -HUP 0
exit 1
"""


class Engine:
    """Takes in what it is given, as an engine does, and has no image."""

    def __init__(self, full: bool = False) -> None:
        self.api = self.images = self
        self._full = full

    def import_image_from_stream(self, stream: Any, **_: str) -> None:
        stream.read()
        if self._full:
            raise OSError("write /layer: no space left on device")

    def remove(self, *_: str, force: bool) -> None:
        assert force


@pytest.fixture(autouse=True)
def _tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "mmdebstrap"
    tool.write_text(HANGS_UP)
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_a_tool_that_hangs_up_on_its_group_does_not_end_us() -> None:
    with pytest.raises(EnvironmentFailure, match="mmdebstrap failed: E: no package of that name"):
        offline._import_root(Engine(), offline.BASE, "bookworm", "bookworm")


def test_a_full_disk_is_one_line() -> None:
    with pytest.raises(EnvironmentFailure, match="the engine's disk is full"):
        offline._import_root(Engine(full=True), offline.BASE, "bookworm", "bookworm")


class Runs:
    """An engine whose base image says its Python's version."""

    def __init__(self) -> None:
        self.containers = self

    def run(self, *_: Any, **__: Any) -> bytes:
        return b"3.11.2\n"


def test_half_of_the_wheels_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an interrupted `wdm images build --offline`: the next one collects them all, and no folder stays."""
    monkeypatch.setattr(offline, "user_folder", lambda: tmp_path)

    def interrupted(_lock: Path, to: Path, _version: str) -> None:
        to.mkdir(parents=True)
        (to / "one.whl").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(offline, "_download", interrupted)
    with pytest.raises(KeyboardInterrupt):
        offline._collect_wheels(Runs(), "base", lambda _: None)
    assert [*(tmp_path / "wheels").iterdir()] == []
