"""The benchmark of recording: that it runs. Its ratio is measured on a quiet machine, and not by a test."""

import asyncio
from argparse import Namespace

import pytest

from benchmarks.recording import main


@pytest.mark.slow
def test_both_shops_serve_in_every_round(capsys: pytest.CaptureFixture[str]) -> None:
    ratio = asyncio.run(main(Namespace(protocol="2pc", clients=8, rounds=3, seconds=0.3, trace=4)))
    lines = capsys.readouterr().out.splitlines()
    assert ratio > 0
    assert [line.count("/s ") for line in lines] == [2, 2, 2, 0]
    assert not any(line.startswith("0/s") or " 0/s" in line for line in lines)
