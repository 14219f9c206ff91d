"""The log of a store in a container: sampled inside of it while it runs, cut from outside while it is down."""

import asyncio
import io
import tarfile
import time
from contextlib import suppress
from random import Random
from typing import Any

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.store_log import FOLDER, NO_LOG, Tail, newest
from harness.runtimes.docker.container import Container
from harness.runtimes.docker.engine_client import close_stream, engine_errors
from protocols.backoff import Backoff

LOOK = f"echo && cd /data/{FOLDER} && while stat -c '%n %s' *.incr.aof && echo; do sleep 0.05; done"
AGAIN_MS, LONGEST_AGAIN_MS = 50.0, 200.0


class ContainerLog:
    """A `Log`. A sample has the time of its arrival, later than that of its taking, so no byte is certain too early."""

    def __init__(self, container: Container, durability: str) -> None:
        self._container = container
        self._tail = Tail(durability)

    async def run(self) -> None:
        """Sample the log of every life, until cancelled."""
        backoff = Backoff(AGAIN_MS, LONGEST_AGAIN_MS)
        while True:
            with suppress(EnvironmentFailure):  # it is down, or has no log yet
                await asyncio.to_thread(self._watch_a_life)
                backoff.reset()
            await asyncio.sleep(backoff.next_s())

    async def cut(self, now_s: float, rng: Random) -> str:
        return await asyncio.to_thread(self._cut, now_s, rng)

    # ------------------------------------------------------------ inside, in threads

    def _watch_a_life(self) -> None:
        """Sample the log until the container ends. Blocks. Raises `EnvironmentFailure`."""
        rest, lines = self._container.exec(["sh", "-c", LOOK])
        with engine_errors(f"the log of {self._container.handle.name} cannot be watched"):
            try:
                for chunk in lines:
                    *whole, rest = (rest + chunk).split(b"\n\n")
                    for sample in whole:
                        self._saw(sample)
            finally:
                close_stream(lines)

    def _saw(self, sample: bytes) -> None:
        sizes = dict(line.rsplit(" ", 1) for line in sample.decode().splitlines() if " " in line)
        name = newest(sizes)
        now_s = time.monotonic()
        if name is not None:
            self._tail.saw(now_s, name, int(sizes[name]))
        self._tail.settle(now_s)

    def _cut(self, now_s: float, rng: Random) -> str:
        handle = self._container.handle
        with engine_errors(f"the log of {handle.name} cannot be cut"):
            packed = self._fetch()
            if packed is None:
                return NO_LOG
            with tarfile.open(fileobj=packed) as archive:
                entries = {entry.name.rpartition("/")[2]: entry for entry in archive if entry.isfile()}
                name = newest(entries)
                if name is None:
                    return NO_LOG
                entry = entries[name]
                file = archive.extractfile(entry)
                assert file is not None
                content = file.read()
            loss = self._tail.lose(now_s, name, len(content), rng)
            self._container.put(f"/data/{FOLDER}", name, content[: loss.kept] + loss.torn, (entry.uid, entry.gid))
            return loss.words

    def _fetch(self) -> io.BytesIO | None:
        from docker.errors import NotFound  # noqa: PLC0415 - slow to import, and only this runtime needs it

        try:
            chunks: Any = self._container.handle.get_archive(f"/data/{FOLDER}")[0]
        except NotFound:
            return None
        return io.BytesIO(b"".join(chunks))
