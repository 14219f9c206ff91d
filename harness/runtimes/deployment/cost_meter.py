"""The costs of each node of a shop over all its lives: processor time, memory, messages, forced writes, store commands.

The counters of a process end with it, so the last reading before its death stays: the time from that reading to the death
of a killed node is missing. Processor time and memory come from `/proc`; a system without `/proc` has neither.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from harness.runtimes.base import Node

WITHIN_S = 0.5
MB = 2**20
METRICS = {
    "wdm_messages_sent_total": "messages",
    "wdm_message_batches_total": "parcels",
    "wdm_forced_writes_total": "forced_writes",
    "wdm_store_commands_total": "store_commands",
}
STORE = {"total_commands_processed": "store_operations"}
"""The counter of a store: each script, and each command of a script."""


class Metered(Protocol):
    """The part of a deployment that the meter needs."""

    def nodes(self) -> tuple[Node, ...]:
        """Return the nodes as they are now."""

    def store_url(self, service: str) -> str:
        """Return the address of a service's store, with its password."""


@dataclass(slots=True)
class NodeCosts:
    """The counters of one node by name: `before` of its former lives, `now` of its present life `pid`."""

    pid: int | None = None
    before: dict[str, float] = field(default_factory=dict)
    now: dict[str, float] = field(default_factory=dict)
    memory_mb: float = 0.0

    def count(self, pid: int | None, seen: Mapping[str, float]) -> None:
        """Take a reading of process `pid`; another pid begins another life, whose counters start at zero."""
        if pid != self.pid:
            for name, value in self.now.items():
                self.before[name] = self.before.get(name, 0.0) + value
            self.pid, self.now = pid, {}
        self.now.update(seen)

    def total(self) -> dict[str, float]:
        """Return the sum of all lives by name."""
        names = dict.fromkeys((*self.before, *self.now))
        return {name: round(self.before.get(name, 0.0) + self.now.get(name, 0.0), 3) for name in names}


class CostMeter:
    """The readings of all nodes of one shop. A node without an answer keeps its last reading."""

    def __init__(self, shop: Metered) -> None:
        self._shop = shop
        self._used: dict[str, NodeCosts] = {}

    async def read(self) -> list[dict[str, Any]]:
        """Read the nodes. Return `{"node", "kind", "memory_mb", "cpu_s", ...}` of each: the highest memory, sums of all else."""
        nodes = self._shop.nodes()
        timeout = aiohttp.ClientTimeout(total=WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await asyncio.gather(*(self._read(node, session) for node in nodes))
        return [
            {"node": node.name, "kind": node.kind, "memory_mb": round(used.memory_mb, 1), **used.total()}
            for node in nodes
            if (used := self._used.get(node.name))
        ]

    async def _read(self, node: Node, session: aiohttp.ClientSession) -> None:
        used = self._used.setdefault(node.name, NodeCosts())
        seen: dict[str, float] = {}
        if node.pid:
            with suppress(OSError, ValueError, IndexError):
                seen["cpu_s"] = _cpu_s(node.pid)
                used.memory_mb = max(used.memory_mb, _memory_mb(node.pid))
        if node.state == "running":
            with suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError, RedisError, KeyError):
                if node.kind == "service" and node.url.startswith("http"):
                    seen |= await _metrics(session, node.url)
                elif node.kind == "store":
                    seen |= await _info(_own(self._shop.store_url(node.service).split(), node))
        if seen:
            used.count(node.pid, seen)


def _own(urls: list[str], node: Node) -> str:
    """Return the URL of a server among those of its store's copies."""
    return next((url for url in urls if url.rpartition("@")[2] == node.url.removeprefix("redis://")), urls[0])


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process (proc(5): fields 14 and 15 are utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    """Return the resident memory of a process (the second field of `statm`, in pages)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MB


async def _metrics(session: aiohttp.ClientSession, url: str) -> dict[str, float]:
    async with session.get(f"{url}/metrics") as response:
        text = await response.text()
    pairs = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {METRICS[pair[0]]: float(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] in METRICS}


async def _info(url: str) -> dict[str, float]:
    client = redis.asyncio.Redis.from_url(
        url, retry=Retry(NoBackoff(), 0), socket_timeout=WITHIN_S, socket_connect_timeout=WITHIN_S
    )
    async with client:
        info = await client.info("stats")
    return {STORE[name]: float(info[name]) for name in STORE if name in info}
