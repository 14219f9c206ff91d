"""Recording takes less than a tenth of the throughput: a ratio of two shops that take turns, not a time."""

import asyncio
from argparse import Namespace

import pytest

from benchmarks.recording import main


@pytest.mark.slow
def test_recording_takes_less_than_a_tenth_of_the_throughput() -> None:
    """The median of many short turns; a machine that is busy with something else gets another chance."""
    chosen = Namespace(protocol="2pc", clients=32, rounds=20, seconds=1.0, trace=4)
    found = 0.0
    for _ in range(3):
        found = max(found, asyncio.run(main(chosen)))
        if found >= 0.9:
            return
    pytest.fail(f"recorded throughput is {found:.2f} of that without")
