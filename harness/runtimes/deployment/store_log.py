"""The part of a store's log that a power cut can take, derived from the file's size over time and the fsync policy.

A killed server loses no write: the kernel has them all. A power cut takes the end of the file that was not forced to disk
yet. With `everysec` that end is at most the writes of the last second: the size of the file is sampled, and the newest
sample that is a second old is certain. With `always` no write is answered before it is on disk, so only a write that was
under way can be lost, torn: a piece of a command is left at the end of the file, which the server has to clear away, and
no byte is cut, because the file does not show whether its last write was answered.

    size of the file      |------------ certain ------------|---- last second ----|
    a cut ends in here                                       ^^^^^^^^^^^^^^^^^^^^^^^
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
    """The fate of a file: it is cut after `kept` bytes, then `torn` is appended. `words` describe the loss."""

    kept: int
    torn: bytes
    words: str


class Log(Protocol):
    """The log of one store, in a folder of this machine or in a container."""

    async def run(self) -> None:
        """Sample its size, until cancelled."""

    async def cut(self, now_s: float, rng: Random) -> str:
        """Cut or tear the log of a store that is down; return the loss in words.

        `now_s` is the moment of the power cut, on the monotonic clock.
        """


class Tail:
    """The end of a log: its samples, the newest certain one, and the loss that a power cut may draw from them."""

    def __init__(self, durability: str) -> None:
        self._durability = durability
        self._samples: deque[Sample] = deque()
        self._certain: Sample | None = None

    def saw(self, now_s: float, name: str, size: int) -> None:
        """Take a sample: the newest file has this name and size in bytes."""
        self._samples.append(Sample(now_s, name, size))

    def settle(self, now_s: float) -> None:
        """Make the newest sample that is a second old the certain one, and forget those before it."""
        while self._samples and self._samples[0].at_s <= now_s - SURE_AFTER_S:
            self._certain = self._samples.popleft()

    def lose(self, now_s: float, name: str, size: int, rng: Random) -> CutTail:
        """Draw the loss of this file of `size` bytes. The caller carries it out: the kept bytes are certain from now on."""
        if self._durability == "always":
            # Every whole write may have been answered, and cutting one would invent a loss that this policy excludes.
            torn = TORN[: rng.randrange(1, len(TORN))]
            return CutTail(size, torn, f"left {len(torn)} bytes of a torn write")
        # `min`: a server that loads a log cut inside a command truncates it to the last whole one, so that the file may be
        # shorter than its certain part.
        kept = rng.randint(min(self._sure(name, now_s), size), size)
        # The samples are of a file longer than the one that is left: a later cut would take their sizes for certain, and so
        # cut no byte of the writes that come after this one.
        self._samples.clear()
        self._certain = Sample(now_s, name, kept)
        return CutTail(kept, b"", f"cut {size - kept} of {size} bytes")

    def _sure(self, name: str, now_s: float) -> int:
        """Return how many bytes of the file were certainly on disk at `now_s`; 0 for a file without a sample that old."""
        # `settle` runs only with a sample, and there is none of a container that is down: some may have become certain since.
        certain = [self._certain, *(sample for sample in self._samples if sample.at_s <= now_s - SURE_AFTER_S)]
        # Sizes of another file have no bearing on this one: after a rewrite the server appends to a new file.
        return max((sample.size for sample in certain if sample is not None and sample.name == name), default=0)


class LogWatch:
    """The log in a store's data folder on this machine: sampled while it runs."""

    def __init__(self, data: Path, durability: str) -> None:
        self._folder = data / FOLDER
        self._tail = Tail(durability)

    async def run(self) -> None:
        """Sample the log every `EVERY_S`, until cancelled."""
        while True:
            self.sample(time.monotonic())
            await asyncio.sleep(EVERY_S)

    def sample(self, now_s: float) -> None:
        """Take a sample at `now_s`, and settle those before it."""
        name = self._newest()
        with suppress(FileNotFoundError):  # a rewrite of the log has just replaced the file
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
    """Return the size of the largest file of a log, in bytes; 0 if there is none."""
    sizes = [0]
    for file in (folder / FOLDER).glob("*.aof"):
        with suppress(FileNotFoundError):  # a part that a rewrite has replaced
            sizes.append(file.stat().st_size)
    return max(sizes)


def newest(names: Iterable[str]) -> str | None:
    """Return the file that the server appends to: of the parts of its log, the one with the highest number."""
    numbered = [(int(match[1]), name) for name in names if (match := _NUMBER.search(name))]
    return max(numbered)[1] if numbered else None
