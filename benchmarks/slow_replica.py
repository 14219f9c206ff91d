"""Acknowledged writes that a failover loses: the primary dies while a replica is frozen for a moment around the kill.

    python -m benchmarks.slow_replica --copies cluster --trials 10 [--padding-mb 0]

One trial: clients add credit without a pause; a replica freezes; the primary receives `--padding-mb` of data for which nobody
waits, more than a connection on loopback holds, so that the frozen replica really lags; the primary dies; the replica goes on
0.05 to 0.2 s later. After the failover each credit is compared with what was acknowledged. All trials of a call are on one shop.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any

import click
from redis import Redis
from redis.exceptions import RedisError

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from protocols.copies.replication import CopiesValue
from wdm.parameters import CopiesOption, Whole

STORE, SERVICE = "order-store", "order"
BACK_WITHIN_S = 60.0
LOAD_AFTER_S = 4.0
NOT_FOUND = 404


class Adder:
    """A client that adds 1 to the credit of one user, again and again."""

    def __init__(self, client: ShopClient, name: str) -> None:
        self._client, self.name = client, name
        self.acknowledged = self.failed = 0
        self.worst_s = 0.0
        self.stopped = False

    async def run(self) -> None:
        while not self.stopped:
            began = time.monotonic()
            done = await self._client.call("add_funds", self.name, 1)
            self.worst_s = max(self.worst_s, time.monotonic() - began)
            if done.outcome == "ok":
                self.acknowledged += 1
            else:
                self.failed += done.status != NOT_FOUND

    async def lost(self) -> int:
        """Return the number of acknowledged additions that the credit lacks; one of unknown outcome may stand for a lost one."""
        found = await self._client.call("find_user", self.name)
        if found.status == NOT_FOUND:  # the user is lost as well
            return self.acknowledged
        if found.outcome != "ok":
            raise click.ClickException(f"the user was answered {found.status} {found.value}")
        return max(0, self.acknowledged - int(found.value["credit"]))


async def trial(
    shop: LocalDeployment, client: ShopClient, clients: int, padding_mb: int, rng: Random
) -> dict[str, Any]:
    """Kill the primary once; return the figures of the trial."""
    adders = [Adder(client, str(await client.need("create_user"))) for _ in range(clients)]
    running = [asyncio.create_task(adder.run()) for adder in adders]
    primary = (await asyncio.to_thread(shop.primaries))[STORE]
    lagging = rng.choice([node.name for node in shop.nodes() if node.kind == "store" and node.name != primary])
    await asyncio.sleep(0.3)
    paused = time.monotonic()
    shop.pause(lagging)
    if padding_mb:
        await asyncio.to_thread(pad, shop, primary, padding_mb)
    await asyncio.sleep(rng.uniform(0.02, 0.1))
    shop.kill(primary, stay_down=True)
    await asyncio.sleep(rng.uniform(0.05, 0.2))
    shop.resume(lagging)
    paused_s = time.monotonic() - paused
    await asyncio.sleep(LOAD_AFTER_S)
    for adder in adders:
        adder.stopped = True
    await asyncio.gather(*running)
    chosen = (await asyncio.to_thread(shop.primaries)).get(STORE, "")
    figures = {
        "acknowledged": sum(adder.acknowledged for adder in adders),
        "lost": sum([await adder.lost() for adder in adders]),
        "failed": sum(adder.failed for adder in adders),
        "worst_s": max(adder.worst_s for adder in adders),
        "paused_s": paused_s,
        "chosen": "lagging" if chosen == lagging else "other" if chosen not in ("", primary) else "none",
    }
    shop.revive(primary)
    await shop.serving(primary, BACK_WITHIN_S)
    await asyncio.to_thread(await_copies, shop)
    return figures


def pad(shop: LocalDeployment, server: str, megabytes: int) -> None:
    """Send a server data whose answers nobody awaits before the next piece."""
    with Redis.from_url(url_of(shop, server)) as client, client.pipeline(transaction=False) as pipeline:
        for number in range(megabytes):
            pipeline.set(f"{{{STORE}}}padding-{number % 2}", b"x" * 1_000_000)
        pipeline.execute()


def await_copies(shop: LocalDeployment) -> None:
    """Return once a server has two replicas. Raises `TimeoutError`."""
    deadline = time.monotonic() + BACK_WITHIN_S
    while time.monotonic() < deadline:
        for url in shop.store_url(SERVICE).split():
            with Redis.from_url(url) as client, suppress(RedisError):
                if client.info("replication").get("connected_slaves") == 2:
                    return
        time.sleep(0.2)
    raise TimeoutError(f"no server of {STORE} had two replicas within {BACK_WITHIN_S:g} s")


def url_of(shop: LocalDeployment, server: str) -> str:
    at = shop.node(server).url.removeprefix("redis://")
    return next(url for url in shop.store_url(SERVICE).split() if url.endswith(at))


async def run(copies: CopiesValue, trials: int, clients: int, padding_mb: int, seed: int) -> Sequence[dict[str, Any]]:
    """Run the trials on one shop."""
    rng, figures = Random(seed), []
    spec = Spec(protocol="lua", copies=copies, respawn_after_s=0, time_limit_s=20.0)
    async with LocalDeployment(spec) as shop, ShopClient(shop.url, 30.0) as client:
        for number in range(1, trials + 1):
            one = await trial(shop, client, clients, padding_mb, rng)
            click.echo(f"{copies} {number}: " + ", ".join(f"{name} {value}" for name, value in one.items()), err=True)
            figures.append(one)
    return figures


@click.command()
@click.option(
    "--copies", type=CopiesOption(), default="3", show_default=True, help="Servers of the store, and their manager."
)
@click.option("--trials", type=Whole(1, 1_000), default=10, show_default=True, help="Number of kills.")
@click.option("--clients", type=Whole(1, 1_000), default=16, show_default=True, help="Number of clients.")
@click.option(
    "--padding-mb", type=Whole(0, 60), default=12, show_default=True, help="Data sent during the pause, in MB."
)
@click.option("--seed", type=Whole(0, 2**31), default=1, show_default=True, help="Seed of the pauses.")
def main(copies: CopiesValue, trials: int, clients: int, padding_mb: int, seed: int) -> None:
    """Count the acknowledged writes that are lost when a primary dies while a replica lags."""
    figures = asyncio.run(run(copies, trials, clients, padding_mb, seed))
    losing = [one["lost"] for one in figures if one["lost"]]
    click.echo(
        f"copies {copies}: {sum(one['acknowledged'] for one in figures)} acknowledged in {len(figures)} kills, "
        f"{sum(losing)} lost in {len(losing)} of them, {sum(one['failed'] for one in figures)} requests failed, "
        f"worst latency {max(one['worst_s'] for one in figures):.1f} s, "
        f"the lagging replica chosen {sum(one['chosen'] == 'lagging' for one in figures)} times"
    )


if __name__ == "__main__":
    main()
