"""What each node of a shop has used so far, over all its lives: processor time, memory, messages, store commands.

What a process counts is gone with it, so its last words count until then: of a killed node the time since the last look is
missing. Processor time and memory come from `/proc`; where there is none they are not told.
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
"""What a store executed: a script, and each command in it."""


class Metered(Protocol):
    def nodes(self) -> tuple[Node, ...]: ...

    def store_url(self, service: str) -> str: ...


@dataclass(slots=True)
class Used:
    """By name: what former lives counted, and what this life, `pid`, has counted until now."""

    pid: int | None = None
    before: dict[str, float] = field(default_factory=dict)
    now: dict[str, float] = field(default_factory=dict)
    memory_mb: float = 0.0

    def count(self, pid: int | None, seen: Mapping[str, float]) -> None:
        if pid != self.pid:
            for name, value in self.now.items():
                self.before[name] = self.before.get(name, 0.0) + value
            self.pid, self.now = pid, {}
        self.now.update(seen)

    def total(self) -> dict[str, float]:
        names = dict.fromkeys((*self.before, *self.now))
        return {name: round(self.before.get(name, 0.0) + self.now.get(name, 0.0), 3) for name in names}


class Meter:
    """Looks at the nodes of one shop. A node that does not answer is told as it was."""

    def __init__(self, shop: Metered) -> None:
        self._shop = shop
        self._used: dict[str, Used] = {}

    async def look(self) -> list[dict[str, Any]]:
        """``{"node", "kind", "memory_mb", "cpu_s", ...}`` each: memory is the highest seen, all else adds up."""
        nodes = self._shop.nodes()
        timeout = aiohttp.ClientTimeout(total=WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await asyncio.gather(*(self._one(node, session) for node in nodes))
        return [
            {"node": node.name, "kind": node.kind, "memory_mb": round(used.memory_mb, 1), **used.total()}
            for node in nodes
            if (used := self._used.get(node.name))
        ]

    async def _one(self, node: Node, session: aiohttp.ClientSession) -> None:
        used = self._used.setdefault(node.name, Used())
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
                    seen |= await _info(self._shop.store_url(node.service))
        if seen:
            used.count(node.pid, seen)


def _cpu_s(pid: int) -> float:
    """proc(5): fields 14 and 15 are utime and stime."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    """What is resident: the second field of statm, in pages."""
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
        said = await client.info("stats")
    return {STORE[name]: float(said[name]) for name in STORE if name in said}
