"""Brokers that a machine may lack: their tests are skipped there, with the reason; with ``WDM_REQUIRE_BROKERS`` they fail."""

import os

import pytest

from harness.errors import EnvironmentFailure
from harness.runtimes.local.brokers import BROKERS
from protocols.service.links import TRANSPORTS

REQUIRED = "WDM_REQUIRE_BROKERS"


def missing(transport: str) -> None:
    """Skip, or fail, the running test if what this transport needs is not here."""
    kind = TRANSPORTS[transport].broker
    try:
        if kind:
            BROKERS[kind].find()
    except EnvironmentFailure as failure:
        if os.environ.get(REQUIRED):
            pytest.fail(f"{REQUIRED} is set: {failure}")
        pytest.skip(str(failure))
