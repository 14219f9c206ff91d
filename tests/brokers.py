"""Brokers that a machine may lack: their tests are skipped there, with the reason; with ``WDM_REQUIRE_BROKERS`` they fail."""

import os

import pytest

from harness.runtimes.base import EnvironmentFailure
from harness.runtimes.local.brokers import BROKERS

REQUIRED = "WDM_REQUIRE_BROKERS"


def missing(kind: str) -> None:
    """Skip, or fail, the running test if there is no such broker here."""
    try:
        BROKERS[kind].find()
    except EnvironmentFailure as failure:
        if os.environ.get(REQUIRED):
            pytest.fail(f"{REQUIRED} is set: {failure}")
        pytest.skip(str(failure))
