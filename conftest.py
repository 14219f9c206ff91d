"""Options of the test suite."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

_OWN = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Each test process has a temporary folder and a list of deployments of its own: another's leftovers are not its business."""
    config.stash[_OWN] = own = Path(tempfile.mkdtemp(prefix="wdm-test-"))
    os.environ["TMPDIR"] = os.environ["XDG_STATE_HOME"] = tempfile.tempdir = str(own)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_OWN], ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write the golden transcripts anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the shop with a proxy on every link takes long to start: it belongs to the slow part. In containers all do."""
    for item in items:
        if "whole" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("docker"):
            item.add_marker(pytest.mark.slow)
