"""A simulated shop under Hypothesis, which chooses the requests of the clients and the faults, one step after the other."""

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from harness.errors import EnvironmentFailure
from harness.faults.targets import links, nodes
from harness.runtimes.base import Rule
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.sim.loop import VirtualLoop
from harness.runtimes.sim.simulation import Simulation
from protocols.service.tasks import start_task

USERS, ITEMS = 2, 3
CREDIT, STOCK, PRICE = 12, 6, 1
REST_S = 40.0  # clients give up after 15 s, and the patience of those left in doubt ends after 12
NODES = ("order-1", "stock-1", "payment-1", "order-store", "stock-store", "payment-store")
LINKS = (("order-1", "stock-1"), ("stock-1", "order-1"), ("order-1", "payment-1"), ("payment-1", "payment-store"))

lines = st.lists(st.tuples(st.integers(0, ITEMS - 1), st.integers(1, 3)), min_size=1, max_size=2)


class ShopMachine(RuleBasedStateMachine):
    """A state machine of concurrent checkouts and faults; its end heals the faults and counts the effects."""

    protocol: ClassVar[str]
    options: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        spec = Spec(protocol=self.protocol, options=dict(self.options), respawn_after_s=0.5)
        self.shop = Simulation(spec, 0, self.loop)
        self.client = self.shop.client(15.0)
        self.outcomes: dict[str, list[str]] = {}
        self.bought: dict[str, tuple[int, list[tuple[int, int]]]] = {}
        self.running: list[asyncio.Task[None]] = []
        self.users: list[str] = []
        self.items: list[str] = []
        self._play(self._open())

    # ------------------------------------------------------------ steps

    @rule(user=st.integers(0, USERS - 1), bought=lines)
    def buy(self, user: int, bought: list[tuple[int, int]]) -> None:
        self.running.append(start_task(self._buy(user, bought), "buy", self.loop))

    @rule(which=st.integers(0, 9))
    def buy_again(self, which: int) -> None:
        orders = list(self.outcomes)
        if orders:
            self.running.append(start_task(self._checkout(orders[which % len(orders)]), "checkout", self.loop))

    @rule(ms=st.sampled_from((1, 2, 5, 20, 300, 3_000)))
    def wait(self, ms: int) -> None:
        self._play(asyncio.sleep(ms / 1000))

    @rule(node=st.sampled_from(NODES), for_good=st.booleans())
    def kill(self, node: str, for_good: bool) -> None:
        self.shop.kill(self._named(node), stay_down=for_good)

    @rule(node=st.sampled_from(NODES))
    def pause(self, node: str) -> None:
        self.shop.pause(self._named(node))

    @rule(link=st.sampled_from(LINKS))
    def cut(self, link: tuple[str, str]) -> None:
        self.shop.apply_rule(link, links(self.shop, ["->".join(link)]), Rule(cut=True), Random(1))

    @rule(link=st.sampled_from(LINKS), reset=st.booleans())
    def mend(self, link: tuple[str, str], reset: bool) -> None:
        self.shop.remove_rules(link, reset=reset)

    @rule()
    def heal(self) -> None:
        self._play(self.shop.heal())

    # ------------------------------------------------------------ the end

    def teardown(self) -> None:
        try:
            self._play(self._rest())
            self._play(self._count())
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self._play(asyncio.sleep(0))
            self.loop.close()

    async def _open(self) -> None:
        await self.shop.up()
        for _ in range(USERS):
            self.users.append(await self._need("create_user"))
            await self._need("add_funds", self.users[-1], CREDIT)
        for _ in range(ITEMS):
            self.items.append(await self._need("create_item", PRICE))
            await self._need("add_stock", self.items[-1], STOCK)

    async def _buy(self, user: int, bought: list[tuple[int, int]]) -> None:
        made = await self.client.call("create_order", self.users[user])
        if made.outcome != "ok":
            return
        for item, quantity in bought:
            if (await self.client.call("add_item", made.value, self.items[item], quantity)).outcome != "ok":
                return
        self.bought[made.value] = user, bought
        await self._checkout(made.value)

    async def _checkout(self, order: str) -> None:
        outcomes = self.outcomes.setdefault(order, [])
        outcomes.append((await self.client.call("checkout", order)).outcome)

    async def _rest(self) -> None:
        await self.shop.heal()
        deadline = self.loop.time() + REST_S
        await asyncio.gather(*self.running)
        while left := await self._left():
            assert self.loop.time() < deadline, f"still unfinished: {left}"
            await asyncio.sleep(0.25)
        await self.shop.down()

    async def _left(self) -> list[Any]:
        """Return the unfinished transactions, or the reason why they are unknown yet."""
        try:
            return await self.shop.unfinished()
        except EnvironmentFailure as failure:
            return [failure]

    async def _count(self) -> None:
        credit, stock = [CREDIT] * USERS, [STOCK] * ITEMS
        for order, outcomes in self.outcomes.items():
            paid = (await self._need("find_order", order))["paid"]
            assert paid or "ok" not in outcomes, f"order {order} was answered {outcomes}, and is not paid"
            assert not paid or set(outcomes) != {"fail"}, f"order {order} was answered {outcomes}, and is paid"
            if paid:
                user, bought = self.bought[order]
                for item, quantity in bought:
                    credit[user] -= quantity * PRICE
                    stock[item] -= quantity
        for name, expected in zip(self.users, credit, strict=True):
            assert (await self._need("find_user", name))["credit"] == expected >= 0
        for name, expected in zip(self.items, stock, strict=True):
            assert (await self._need("find_item", name))["stock"] == expected >= 0

    async def _need(self, operation: str, *args: str | int) -> Any:
        response = await self.client.call(operation, *args)
        assert response.outcome == "ok", f"{operation}{args} was answered {response.status} {response.value}"
        return response.value

    def _named(self, node: str) -> str:
        """Return the node of this name in this layout: services may share a store."""
        return nodes(self.shop, "nodes", [node])[0].name

    def _play(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)
