"""A keeper goes on whatever fails around it, and what it writes down is best effort."""

import asyncio
import errno
import sys
from pathlib import Path

import pytest

from harness.runtimes.base import Node
from harness.runtimes.deployment import registry
from harness.runtimes.deployment.node_supervisor import NodeSupervisor
from harness.runtimes.deployment.plan import NodeSpec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.local.child import ChildLife

RESPAWN_S = 0.05


async def _until(what: object, within_s: float = 5.0) -> None:
    assert callable(what)
    async with asyncio.timeout(within_s):
        while not what():
            await asyncio.sleep(0.01)


def _node_spec(folder: Path, *, probe_fails: int = 0, prepare_fails: int = 0) -> NodeSpec:
    left = {"probe": probe_fails, "prepare": prepare_fails}

    async def serves() -> bool:
        left["probe"] -= 1
        if left["probe"] >= 0:
            raise RuntimeError("a defect of the probe")
        return True

    def prepare() -> None:
        left["prepare"] -= 1
        if left["prepare"] >= 0:
            raise ValueError("a defect of the preparation")

    return NodeSpec(
        name="sleeper",
        kind="service",
        service="order",
        url="",
        port=0,
        command=(sys.executable, "-S", "-c", "import time; time.sleep(60)"),
        environment={},
        log=folder / "sleeper.log",
        serves=serves,
        prepare=prepare,
    )


def _pid(keeper: NodeSupervisor) -> int | None:
    node: Node = keeper.node()
    return node.pid if node.state == "running" else None


async def test_a_note_that_cannot_be_written_does_not_end_the_keeper(tmp_path: Path) -> None:
    reports: list[str] = []

    def changed() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    keeper = NodeSupervisor(_node_spec(tmp_path), RESPAWN_S, changed, ChildLife.begin, report=reports.append)
    keeper.start()
    try:
        await keeper.serving(5)
        first = _pid(keeper)
        keeper.kill(stay_down=False)
        await _until(lambda: _pid(keeper) not in (None, first))
        assert len(reports) == 1, "one line for one reason"
        assert "No space left" in reports[0]
    finally:
        await keeper.stop()


@pytest.mark.parametrize(("probe", "prepare"), [(3, 0), (0, 2)])
async def test_defects_around_a_life_are_reported_and_the_node_serves(tmp_path: Path, probe: int, prepare: int) -> None:
    reports: list[str] = []
    node_spec = _node_spec(tmp_path, probe_fails=probe, prepare_fails=prepare)
    keeper = NodeSupervisor(node_spec, RESPAWN_S, lambda: None, ChildLife.begin, report=reports.append)
    keeper.start()
    try:
        await _until(lambda: _pid(keeper) is not None)
        assert len(reports) == 1
        assert "a defect of the" in reports[0]
    finally:
        await keeper.stop()


def test_a_file_that_is_the_same_needs_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = StateFolder(tmp_path)
    folder.write_private("conf/a", b"text")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("harness.runtimes.deployment.state.os.open", full)
    assert folder.write_private("conf/a", b"text").read_bytes() == b"text"
    with pytest.raises(OSError, match="No space"):
        folder.write_private("conf/a", b"other")
    assert sorted(path.name for path in (tmp_path / "conf").iterdir()) == ["a"]


def test_the_list_of_deployments_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "user_folder", lambda: tmp_path)
    registry.remember(Path("/one"))

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        registry.remember(Path("/two"))
    assert registry.known() == [Path("/one")]
