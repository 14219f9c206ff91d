"""What a power cut takes from a store's log, judged from outside by what its fsync policy guarantees.

A killed server loses nothing that it wrote: the kernel has it. What a power cut would have taken is the end of the file
that was not forced to disk yet. With `everysec` that is at most what was written within the last second: the size of the
file is sampled, and the newest sample that is a second old is certain. With `always` nothing is answered before it is on
disk, so all that can be lost is a write that was under way, torn: a piece of a command is left at the end of the file,
which the server has to clear away, and nothing is cut, because from outside nobody can tell the last write from an answered one.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

EVERY_S = 0.05
SURE_AFTER_S = 1.0
FOLDER = "appendonlydir"
TORN = b"*4\r\n$5\r\nHMSET\r\n$9\r\naccount:0\r\n$7\r\nbalance\r\n"
NO_LOG = "there is no log yet"
_NUMBER = re.compile(r"\.(\d+)\.incr\.aof$")


@dataclass(frozen=True, slots=True)
class Sample:
    """The newest file of a log and its size, at a time of the monotonic clock."""

    at_s: float
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class CutTail:
    """What becomes of a file: it ends after `kept` bytes, then comes `torn`."""

    kept: int
    torn: bytes
    words: str


class Log(Protocol):
    """The log of one store, wherever it lies."""

    async def run(self) -> None:
        """Watch it, until cancelled."""

    async def cut(self, now_s: float, rng: Random) -> str:
        """Cut or tear, and say what was done. The store is down; `now_s` is when the power went."""


class Tail:
    """What is known about the end of a log: what is certain, and what a power cut takes from it."""

    def __init__(self, durability: str) -> None:
        self._durability = durability
        self._samples: deque[Sample] = deque()
        self._certain: Sample | None = None

    def saw(self, now_s: float, name: str, size: int) -> None:
        self._samples.append(Sample(now_s, name, size))

    def settle(self, now_s: float) -> None:
        """A second has passed for some of the samples."""
        while self._samples and self._samples[0].at_s <= now_s - SURE_AFTER_S:
            self._certain = self._samples.popleft()

    def lose(self, now_s: float, name: str, size: int, rng: Random) -> CutTail:
        """Decide about this file. It is taken for done: what is kept is certain from now on."""
        if self._durability == "always":
            torn = TORN[: rng.randrange(1, len(TORN))]
            return CutTail(size, torn, f"left {len(torn)} bytes of a torn write")
        kept = rng.randint(min(self._sure(name, now_s), size), size)
        self._samples.clear()
        self._certain = Sample(now_s, name, kept)
        return CutTail(kept, b"", f"cut {size - kept} of {size} bytes")

    def _sure(self, name: str, now_s: float) -> int:
        """So much of the file was certainly on disk: what was there a second ago, or when this file was found."""
        known = [self._certain, *(one for one in self._samples if one.at_s <= now_s - SURE_AFTER_S)]
        return max((one.size for one in known if one is not None and one.name == name), default=0)


class LogWatch:
    """The log in a store's data folder on this machine: sampled while it runs."""

    def __init__(self, data: Path, durability: str) -> None:
        self._folder = data / FOLDER
        self._tail = Tail(durability)

    async def run(self) -> None:
        while True:
            self.sample(time.monotonic())
            await asyncio.sleep(EVERY_S)

    def sample(self, now_s: float) -> None:
        name = self._newest()
        with suppress(FileNotFoundError):
            if name is not None:
                self._tail.saw(now_s, name, (self._folder / name).stat().st_size)
        self._tail.settle(now_s)

    async def cut(self, now_s: float, rng: Random) -> str:
        name = self._newest()
        if name is None:
            return NO_LOG
        file = self._folder / name
        loss = self._tail.lose(now_s, name, file.stat().st_size, rng)
        with file.open("r+b") as log:
            log.truncate(loss.kept)
            log.seek(loss.kept)
            log.write(loss.torn)
        return loss.words

    def _newest(self) -> str | None:
        return newest(path.name for path in self._folder.glob("*.incr.aof"))


def largest(folder: Path) -> int:
    """The size of the largest file of a log, in bytes; 0 if there is none."""
    sizes = [0]
    for file in (folder / FOLDER).glob("*.aof"):
        with suppress(FileNotFoundError):  # a part that a rewrite has replaced
            sizes.append(file.stat().st_size)
    return max(sizes)


def newest(names: Iterable[str]) -> str | None:
    """The file that the server appends to: of the parts of its log, the one with the highest number."""
    numbered = [(int(found[1]), name) for name in names if (found := _NUMBER.search(name))]
    return max(numbered)[1] if numbered else None
