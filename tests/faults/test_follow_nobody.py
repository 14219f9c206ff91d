"""A copy of a store that starts again: it follows nobody, whatever it has written in its configuration meanwhile."""

import asyncio
import signal
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from harness.runtimes.deployment.plan import NodeSpec
from harness.runtimes.deployment.ports import Ports
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.local.layout import direct, plan_deployment


async def test_a_copy_that_was_a_follower_or_a_primary_starts_as_a_follower_of_nobody(tmp_path: Path) -> None:
    ports = Ports()
    try:
        spec = Spec(protocol="2pc", copies=3)
        plan = plan_deployment(spec, StateFolder(tmp_path), ports.take, direct)
        store = plan.stores[0]
        url = plan.store_urls[store.service].split()[0]
        for role in (("127.0.0.1", plan.stores[1].port), ("NO", "ONE")):
            assert await _leader_after_a_restart(store, url, role) == ("slave", "127.0.0.1", 1)
    finally:
        ports.close()


async def _leader_after_a_restart(store: NodeSpec, url: str, role: tuple[object, object]) -> tuple[str, str, int]:
    """Give the copy a role as an elector does, have it written down, kill it, and return what it is in its next life."""
    async with Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
        first = await _start(store)
        await client.execute_command("REPLICAOF", *role)
        await client.config_rewrite()
        first.send_signal(signal.SIGKILL)
        await first.wait()
    async with Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
        second = await _start(store)
        try:
            info = await client.info("replication")
        finally:
            second.send_signal(signal.SIGKILL)
            await second.wait()
    return info["role"], info.get("master_host", ""), int(info.get("master_port", 0))


async def _start(store: NodeSpec) -> asyncio.subprocess.Process:
    store.prepare()
    null = asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(*store.command, stdout=null, stderr=null)
    async with asyncio.timeout(10):
        while not await store.serves():
            assert child.returncode is None, "it does not start"
            await asyncio.sleep(0.01)
    return child
