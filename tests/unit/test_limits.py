"""A limit of the system that no shop can live with is named before anything starts, and one that is reached when it is."""

import asyncio
import errno
import os
import resource
from pathlib import Path

import pytest

from harness.errors import EnvironmentFailure, exhausted
from harness.runtimes.deployment import daemon, limits
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient

SPEC = Spec(protocol="2pc")


def limited(monkeypatch: pytest.MonkeyPatch, *, files: int = 10_000, tasks: int = 10_000, user: int = 1_000) -> None:
    there = {resource.RLIMIT_NOFILE: files, resource.RLIMIT_NPROC: tasks}
    monkeypatch.setattr(limits.resource, "getrlimit", lambda which: (there[which],) * 2)
    monkeypatch.setattr(limits.os, "geteuid", lambda: user)


@pytest.mark.parametrize(
    ("files", "tasks", "words"),
    [
        (64, 10_000, "a process may open 64 files here, and a shop needs 256: raise it with `ulimit -n 256`"),
        (10_000, 40, "40 processes and threads, and a shop of 7 nodes needs about 49: raise it with `ulimit -u 49`"),
    ],
)
async def test_a_limit_that_is_too_low_is_named_before_the_first_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: int, tasks: int, words: str
) -> None:
    limited(monkeypatch, files=files, tasks=tasks)
    with pytest.raises(EnvironmentFailure, match=words):
        daemon.launch(SPEC, StateFolder(tmp_path / "detached"))
    shop = LocalDeployment(SPEC, tmp_path / "here")
    with pytest.raises(EnvironmentFailure, match=words):
        await shop.up()
    assert not [name for _, _, names in os.walk(tmp_path) for name in names if name.endswith(".log")]


def test_root_and_more_workers_and_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, tasks=1, user=0)
    limits.check(SPEC)
    limited(monkeypatch, tasks=49)
    limits.check(SPEC)
    with pytest.raises(EnvironmentFailure, match="10 nodes needs about 70"):
        limits.check(Spec(protocol="2pc", workers=2))
    limited(monkeypatch, files=resource.RLIM_INFINITY, tasks=resource.RLIM_INFINITY)
    limits.check(SPEC)


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE])
async def test_a_client_without_a_port_or_a_file_is_the_environment_and_not_the_shop(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    async def connect(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", connect)
    async with ShopClient("http://127.0.0.1:1") as client:
        with pytest.raises(EnvironmentFailure, match=r"a client could not send its request: .*(port|files)"):
            await client.call("create_user")


async def test_a_client_whose_connections_fail_at_once_leaves_the_loop_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no port was left, a load without pauses blocked the run for good, also against SIGTERM."""

    async def connect(*_: object, **__: object) -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", connect)
    async with ShopClient("http://127.0.0.1:1") as client:
        await client.call("create_user")
        running = asyncio.create_task(other())
        for _ in range(20):
            assert (await client.call("create_user")).outcome == "unknown"
        running.cancel()
    assert len(turns) >= 20


def test_a_process_that_cannot_be_started_names_the_limit() -> None:
    full = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    assert "ulimit -u" in exhausted(full, starts=True)
    assert not exhausted(full), "anywhere else it only means: not now"
    assert not exhausted(ValueError())
