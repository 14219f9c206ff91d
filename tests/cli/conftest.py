"""Terminals of users, and one deployment for the tests of a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """Start one detached deployment for all tests of a module that leave it unchanged."""
    terminal = Terminal(tmp_path_factory.mktemp("shop"))
    answer = terminal.wdm("up", "--detach", "--port", "0", "--workers", "2", "--respawn-after-s", "0.2")
    assert answer.returncode == 0, answer.stderr
    yield terminal
    terminal.close()
