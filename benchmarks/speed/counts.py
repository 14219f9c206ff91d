"""The cost of a round: processor time of each process, store commands, messages and forced writes, from outside.

The kernel counts the processor time (proc(5)); services count under `/metrics`, and stores under `INFO`.
"""

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from redis import Redis

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
METRICS = {
    "wdm_messages_sent_total": "messages",
    "wdm_message_batches_total": "batches",
    "wdm_forced_writes_total": "forced",
}
_LINE = re.compile(r"^(\w+) ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a contender. `role` is the column of its processor time; `metrics` is the address of a service's counters."""

    role: str
    pid: int
    metrics: str = ""


@dataclass(slots=True)
class Counts:
    """Counts since the start of the processes, or between two readings.

    `cpu_s` is by role; `events` has calls, commands, messages, batches and forced writes.
    """

    cpu_s: dict[str, float] = field(default_factory=dict)
    events: dict[str, float] = field(default_factory=dict)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(_sum(self.cpu_s, other.cpu_s, 1), _sum(self.events, other.events, 1))

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(_sum(self.cpu_s, other.cpu_s, -1), _sum(self.events, other.events, -1))


def _sum(first: Mapping[str, float], second: Mapping[str, float], sign: int) -> dict[str, float]:
    return {name: first.get(name, 0) + sign * second.get(name, 0) for name in {**first, **second}}


async def counted(processes: Sequence[Process], stores: Mapping[str, str]) -> Counts:
    """Return the counts so far."""
    counts = Counts()
    for process in processes:
        _add(counts.cpu_s, process.role, _cpu_s(process.pid))
    async with aiohttp.ClientSession() as session:
        for process in processes:
            if process.metrics:
                async with session.get(process.metrics) as response:
                    for name, value in _LINE.findall(await response.text()):
                        if name in METRICS:
                            _add(counts.events, METRICS[name], float(value))
    for url in stores.values():
        with closing(Redis.from_url(url)) as client:
            for command, stats in client.info("commandstats").items():
                _add(counts.events, "calls" if command == "cmdstat_fcall" else "commands", stats["calls"])
    return counts


def _add(to: dict[str, float], name: str, amount: float) -> None:
    to[name] = to.get(name, 0) + amount


def resident_kb(pid: int) -> int:
    """Return the resident memory of a process in KB."""
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) if match else 0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
