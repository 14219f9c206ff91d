"""A shop under kills whose figures a test counts by hand: an oracle that shares nothing with the checkers.

The figures come from the shop itself, read back when everything has come to rest.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from harness.runtimes.admin import AdminClient
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import Response, ShopClient, all_at_once
from protocols.service.tasks import start_task

Say = Callable[[str], None]

RUSH_USERS = 1_000
RUSH_STOCK = 100
ITEMS, USERS, ORDERS = 500, 2_000, 20_000
STOCK, CREDIT, PRICE = 1_000, 1_000, 3
CLIENTS = 50
THINK_S = 0.25
BETWEEN_KILLS_S = 1.5
REST_WITHIN_S = 10.0
QUIET_LOOKS = 5
READS_PER_BATCH = 64


@dataclass(slots=True)
class Rush:
    """What the thousand checkouts of one item came to."""

    outcomes: Counter[str]
    errors: int
    sold: int
    spent: int
    paid: int
    seconds: float

    @property
    def holds(self) -> bool:
        exact = self.sold == self.spent == self.paid == self.outcomes["ok"] == RUSH_STOCK
        return exact and self.outcomes["fail"] == RUSH_USERS - RUSH_STOCK and not self.errors


@dataclass(slots=True)
class Siege:
    """What the load under kills came to.

    ``recovered_s`` has, for each node, the time from its kill to the first checkout begun after the kill that
    succeeded, the longest if there were several; ``untrue`` counts orders whose client received a false answer.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    sold: int = 0
    spent: int = 0
    charged: int = 0
    paid: int = 0
    stuck: int = 0
    untrue: int = 0
    recovered_s: dict[str, float] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return self.sold == 2 * self.paid and self.spent == self.charged and not self.stuck and not self.untrue


# ---------------------------------------------------------------- a thousand at once


async def rush_of(client: ShopClient, say: Say) -> Rush:
    say(f"one item, stock {RUSH_STOCK}; {RUSH_USERS} users with 1 credit each")
    item = await client.need("create_item", 1)
    await client.need("add_stock", item, RUSH_STOCK)
    users = [response.value for response in await all_at_once(client, "create_user", [()] * RUSH_USERS)]
    await all_at_once(client, "add_funds", [(user, 1) for user in users])
    orders = [response.value for response in await all_at_once(client, "create_order", [(user,) for user in users])]
    await all_at_once(client, "add_item", [(order, item, 1) for order in orders])
    say(f"{len(orders)} checkouts at once")
    started = time.monotonic()
    responses = await all_at_once(client, "checkout", [(order,) for order in orders])
    seconds = time.monotonic() - started
    funds = await all_at_once(client, "find_user", [(user,) for user in users])
    found = await all_at_once(client, "find_order", [(order,) for order in orders])
    return Rush(
        outcomes=Counter(response.outcome for response in responses),
        errors=sum(response.status >= 500 or not response.status for response in responses),
        sold=RUSH_STOCK - (await client.need("find_item", item))["stock"],
        spent=RUSH_USERS - sum(one.value["credit"] for one in funds),
        paid=sum(one.value["paid"] for one in found),
        seconds=seconds,
    )


# ---------------------------------------------------------------- every node killed once


class Besieged:
    """A steady load, while one node after the other is killed and comes back."""

    def __init__(self, shop: LocalDeployment, client: ShopClient, say: Say) -> None:
        self._shop = shop
        self._client = client
        self._say = say
        self._over = asyncio.Event()
        self._responses: dict[str, Response] = {}
        self._successes: list[tuple[float, float]] = []  # begun, answered

    async def run(self, victims: list[str]) -> Siege:
        """Kill them one after the other. The siege is over when everything has come to rest."""
        client = self._client
        await client.need("init_items", ITEMS, STOCK, PRICE)
        await client.need("init_users", USERS, CREDIT)
        await client.need("init_orders", ORDERS, ITEMS, USERS, PRICE)
        siege = Siege()
        load = start_task(self._load(), "load")
        try:
            for name in victims:
                recovered = await self._kill(name)
                siege.recovered_s[name] = max(recovered, siege.recovered_s.get(name, 0.0))
        finally:
            self._over.set()
            await load
        self._say("waiting until everything has come to rest")
        siege.stuck = await self._come_to_rest()
        await self._count(siege)
        return siege

    async def _load(self) -> None:
        """So many clients, each with one checkout after another; every order is tried once."""
        orders = iter(range(ORDERS))
        self._over.clear()
        await asyncio.gather(*(self._shop_on(orders) for _ in range(CLIENTS)))

    async def _shop_on(self, orders: Iterator[int]) -> None:
        for number in orders:
            if self._over.is_set():
                return
            await self._checkout(str(number))
            await asyncio.sleep(THINK_S)

    async def _checkout(self, order: str) -> None:
        begun = time.monotonic()
        response = await self._client.call("checkout", order)
        self._responses[order] = response
        if response.outcome == "ok":
            self._successes.append((begun, time.monotonic()))

    async def _kill(self, name: str) -> float:
        await asyncio.sleep(BETWEEN_KILLS_S)
        killed = time.monotonic()
        self._shop.kill(name)
        await self._shop.serving(name)
        while not (after := [answered for begun, answered in self._successes if begun > killed]):
            await asyncio.sleep(0.01)
        recovered = min(after) - killed
        self._say(f"killed {name}: first success of a checkout begun after it {recovered:.2f} s later")
        return recovered

    async def _come_to_rest(self) -> int:
        """How many transactions are unfinished when none was for a while, or when the time is up."""
        deadline = time.monotonic() + REST_WITHIN_S
        left = quiet = 0
        while quiet < QUIET_LOOKS and time.monotonic() < deadline:
            left = await self._unfinished()
            quiet = 0 if left else quiet + 1
            await asyncio.sleep(0.1)
        return left

    async def _unfinished(self) -> int:
        return len(await AdminClient(self._shop.nodes(), self._shop.secret).unfinished())

    async def _count(self, siege: Siege) -> None:
        siege.outcomes.update(response.outcome for response in self._responses.values())
        items = await self._read("find_item", [str(number) for number in range(ITEMS)])
        users = await self._read("find_user", [str(number) for number in range(USERS)])
        orders = await self._read("find_order", list(self._responses))
        siege.sold = ITEMS * STOCK - sum(response.value["stock"] for response in items)
        siege.spent = USERS * CREDIT - sum(response.value["credit"] for response in users)
        for order, found in zip(self._responses, orders, strict=True):
            paid, outcome = found.value["paid"], self._responses[order].outcome
            siege.paid += paid
            siege.charged += found.value["total_cost"] if paid else 0
            siege.untrue += (outcome == "ok" and not paid) or (outcome == "fail" and paid)

    async def _read(self, operation: str, names: list[str]) -> list[Response]:
        found: list[Response] = []
        for batch in _batched(names):
            found += await all_at_once(self._client, operation, [(name,) for name in batch])
        return found


def _batched(names: list[str]) -> list[list[str]]:
    return [names[at : at + READS_PER_BATCH] for at in range(0, len(names), READS_PER_BATCH)]
