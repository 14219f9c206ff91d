"""What a power cut takes from a store's log, judged from outside by what its fsync policy guarantees.

A killed server loses nothing: the kernel has what it wrote. What a power cut would have taken is the end of the file
that was not forced to disk yet. With ``everysec`` that is at most what was written within the last second: the size of the
file is sampled, and the newest sample that is a second old is certain. With ``always`` nothing is answered before it is on
disk, so all that can be lost is a write that was under way, torn: a piece of a command is left at the end of the file,
which the server has to clear away, and nothing is cut, because from outside nobody can tell the last write from an answered one.
"""

import asyncio
import re
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

EVERY_S = 0.05
SURE_AFTER_S = 1.0
TORN = b"*4\r\n$5\r\nHMSET\r\n$9\r\naccount:0\r\n$7\r\nbalance\r\n"
_NUMBER = re.compile(r"\.(\d+)\.incr\.aof$")


@dataclass(frozen=True, slots=True)
class Sample:
    """The newest file of a log and its size, at a time of the monotonic clock."""

    at_s: float
    name: str
    size: int


class LogWatch:
    """Samples the log in a store's data folder while it runs; ``cut`` is for when the store is down."""

    def __init__(self, data: Path, durability: str) -> None:
        self._folder = data / "appendonlydir"
        self._durability = durability
        self._samples: deque[Sample] = deque()
        self._certain: Sample | None = None

    async def run(self) -> None:
        while True:
            self.sample(time.monotonic())
            await asyncio.sleep(EVERY_S)

    def sample(self, now_s: float) -> None:
        file = self._newest()
        with suppress(FileNotFoundError):
            if file is not None:
                self._samples.append(Sample(now_s, file.name, file.stat().st_size))
        while self._samples and self._samples[0].at_s <= now_s - SURE_AFTER_S:
            self._certain = self._samples.popleft()

    def cut(self, now_s: float, rng: Random) -> str:
        """Cut or tear, and say what was done. ``now_s`` is when the power went."""
        file = self._newest()
        if file is None:
            return "there is no log yet"
        if self._durability == "always":
            torn = TORN[: rng.randrange(1, len(TORN))]
            with file.open("ab") as log:
                log.write(torn)
            return f"left {len(torn)} bytes of a torn write"
        size = file.stat().st_size
        kept = rng.randint(min(self._sure(file, now_s), size), size)
        with file.open("r+b") as log:
            log.truncate(kept)
        self._samples.clear()
        self._certain = Sample(now_s, file.name, kept)
        return f"cut {size - kept} of {size} bytes"

    def _sure(self, file: Path, now_s: float) -> int:
        """So much of the file was certainly on disk: what was there a second ago, or when this file was found."""
        known = [self._certain, *(one for one in self._samples if one.at_s <= now_s - SURE_AFTER_S)]
        return max((one.size for one in known if one is not None and one.name == file.name), default=0)

    def _newest(self) -> Path | None:
        """The file that the server appends to: of the parts of its log, the one with the highest number."""
        numbered = [
            (int(found[1]), path) for path in self._folder.glob("*.incr.aof") if (found := _NUMBER.search(path.name))
        ]
        return max(numbered)[1] if numbered else None
