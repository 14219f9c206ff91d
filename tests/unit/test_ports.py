"""Blocks of ports of several deployments on one machine."""

import sys
from pathlib import Path

import pytest

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment import ports
from harness.runtimes.deployment.ports import BLOCK, Ports


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have the locks of one folder alone")
def test_deployments_with_folders_of_their_own_share_no_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each had its locks in its own folder, and one took the port of a node of the other that was about to come back (CI)."""
    blocks = [70_000, 70_000 + BLOCK]  # no ports: a deployment beside this test holds none of these names
    monkeypatch.setattr(ports, "_blocks", lambda: blocks)
    held = []
    for number in range(len(blocks)):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / str(number)))
        held.append(Ports())
    with pytest.raises(EnvironmentFailure, match="every block of ports is taken"):
        Ports()
    held.pop().close()
    Ports().close()
    held.pop().close()


def test_several_ports_are_in_sequence_and_free(monkeypatch: pytest.MonkeyPatch) -> None:
    block = Ports()
    try:
        first = block.take()
        monkeypatch.setattr(ports, "is_free", lambda port: port != first + 2)
        assert block.take_several(3) == [first + 3, first + 4, first + 5]
        assert block.take() == first + 6
    finally:
        block.close()
