"""A shop in one dictionary, the environment it is served in, and ways for both to be bad."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from harness.errors import EnvironmentFailure
from harness.run.plan import Plan
from harness.runtimes.base import Capability, FaultOwnership, Node, State
from harness.runtimes.environment import Environment
from harness.workload.base import Call
from harness.workload.client import OPERATIONS
from protocols.core import Config, Protocol
from protocols.registry import load

Answer = tuple[int, Any]


@dataclass
class Model:
    """The contract, kept: `answer` does what a correct shop does, one call at a time.

    `forgets`: a checkout is acknowledged but charges nobody.
    """

    forgets: bool = False
    credit: dict[str, int] = field(default_factory=dict)
    stock: dict[str, int] = field(default_factory=dict)
    price: dict[str, int] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    costs: dict[str, list[int]] = field(default_factory=dict)
    made: int = 0

    def answer(self, call: Call) -> Answer:
        return getattr(self, f"_{call.op}")(*map(str, call.args))

    def _create_user(self) -> Answer:
        self.credit[new := f"u{len(self.credit)}"] = 0
        return 200, {"user_id": new}

    def _create_item(self, price: str) -> Answer:
        self.stock[new := f"i{len(self.stock)}"], self.price[f"i{len(self.price)}"] = 0, int(price)
        return 200, {"item_id": new}

    def _create_order(self, user: str) -> Answer:
        self.made += 1
        new = f"o{self.made}"
        self.orders[new] = {"order_id": new, "paid": False, "items": [], "user_id": user, "total_cost": 0}
        return 200, {"order_id": new}

    def _init_users(self, count: str, credit: str) -> Answer:
        self.credit = {str(number): int(credit) for number in range(int(count))}
        return 200, {"msg": "done"}

    def _init_items(self, count: str, stock: str, price: str) -> Answer:
        self.stock = {str(number): int(stock) for number in range(int(count))}
        self.price = {str(number): int(price) for number in range(int(count))}
        return 200, {"msg": "done"}

    def _init_orders(self, count: str, items: str, users: str, price: str) -> Answer:
        """Two different items a piece, evenly spread."""
        for number in range(int(count)):
            lines = [[str((number + shift) % int(items)), 1] for shift in (0, 1)]
            user = str(number % int(users))
            name = str(number)
            self.orders[name] = {
                "order_id": name,
                "paid": False,
                "items": lines,
                "user_id": user,
                "total_cost": 2 * int(price),
            }
        return 200, {"msg": "done"}

    def _add_funds(self, user: str, amount: str) -> Answer:
        return self._move(self.credit, user, int(amount))

    def _pay(self, user: str, amount: str) -> Answer:
        return self._move(self.credit, user, -int(amount))

    def _add_stock(self, item: str, amount: str) -> Answer:
        return self._move(self.stock, item, int(amount))

    def _subtract_stock(self, item: str, amount: str) -> Answer:
        return self._move(self.stock, item, -int(amount))

    def _move(self, balances: dict[str, int], name: str, amount: int) -> Answer:
        if name not in balances or balances[name] + amount < 0:
            return 400, {"error": f"no {name}, or too little"}
        balances[name] += amount
        return 200, "done"

    def _add_item(self, order: str, item: str, quantity: str) -> Answer:
        found = self.orders[order]
        if found["paid"]:
            return 400, "paid"
        found["items"].append([item, int(quantity)])
        self.costs.setdefault(order, []).append(int(quantity) * self.price[item])
        found["total_cost"] += self.costs[order][-1]
        return 200, "added"

    def _remove_item(self, order: str, item: str) -> Answer:
        found = self.orders[order]
        at = next((at for at, line in enumerate(found["items"]) if line[0] == item), None)
        if at is None or found["paid"]:
            return 400, "paid, or not in it"
        del found["items"][at]
        found["total_cost"] -= self.costs[order].pop(at)
        return 200, "removed"

    def _remove_order(self, order: str) -> Answer:
        if self.orders[order]["paid"]:
            return 400, "paid"
        del self.orders[order]
        return 200, "removed"

    def _checkout(self, order: str) -> Answer:
        found = self.orders[order]
        if found["paid"]:
            return 200, "paid before"
        needed: dict[str, int] = {}
        for item, quantity in found["items"]:
            needed[item] = needed.get(item, 0) + quantity
        short = any(self.stock[item] < quantity for item, quantity in needed.items())
        if short or self.credit[found["user_id"]] < found["total_cost"]:
            return 400, {"error": "short"}
        for item, quantity in needed.items():
            self.stock[item] -= quantity
        if not self.forgets:
            self.credit[found["user_id"]] -= found["total_cost"]
        found["paid"] = True
        return 200, "paid"

    def _find_user(self, user: str) -> Answer:
        return 200, {"user_id": user, "credit": self.credit[user]}

    def _find_item(self, item: str) -> Answer:
        return 200, {"stock": self.stock[item], "price": self.price[item]}

    def _find_order(self, order: str) -> Answer:
        return (200, self.orders[order]) if order in self.orders else (404, {"error": "unknown order"})


ROUTES = {path.split("{")[0].rstrip("/"): op for op, (_, path) in OPERATIONS.items()}


def called(path: str) -> Call:
    """Return the operation of a path."""
    prefix = next(prefix for prefix in sorted(ROUTES, key=len, reverse=True) if path.startswith(prefix))
    return Call(ROUTES[prefix], tuple(filter(None, path.removeprefix(prefix).split("/"))))


class Server:
    """Serves `answer` on loopback: a status and a body, which is JSON unless it is bytes."""

    def __init__(self, answer: Callable[[Call], Answer]) -> None:
        self._answer = answer
        self._runner: web.ServerRunner | None = None
        self.url = ""

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        status, body = self._answer(called(request.path))
        if isinstance(body, bytes):
            return web.Response(status=status, body=body)
        return web.json_response(body, status=status)


class FakeShop:
    """A runtime of three nodes that can be killed and paused; a killed one never comes back if `lost`.

    `fails` is why it does not come up at all.
    """

    def __init__(self, answer: Callable[[Call], Answer], *, lost: bool = False, fails: str = "") -> None:
        self._server = Server(answer)
        self._lost = lost
        self._fails = fails
        self._states: dict[str, State] = {}
        self.holds = FaultOwnership()
        self.stopped = 0

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset({"signals"})

    async def up(self) -> None:
        if self._fails:
            raise EnvironmentFailure(self._fails)
        await self._server.start()
        self._states = {"order-1": "running", "stock-1": "running", "payment-1": "running"}

    async def down(self) -> None:
        self.stopped += 1
        await self._server.stop()
        self._states = {}

    def nodes(self) -> tuple[Node, ...]:
        return tuple(
            Node(name, "service", name.partition("-")[0], 1, self.url, state) for name, state in self._states.items()
        )

    def kill(self, name: str, *, stay_down: bool = False) -> None:
        self._states[name] = "down" if stay_down or self._lost else "running"

    def pause(self, name: str) -> None:
        self._states[name] = "paused"

    def resume(self, name: str) -> None:
        self._states[name] = "running"

    def revive(self, name: str) -> None:
        if not self._lost:
            self._states[name] = "running"

    async def restart(self, name: str) -> None:
        self.revive(name)

    async def settled(self) -> None:
        pass

    def links(self) -> tuple[tuple[str, str], ...]:
        return ()

    def apply_rule(self, *_: Any) -> None:
        raise AssertionError("not in its capabilities")

    def remove_rules(self, *_: Any, **__: Any) -> None:
        pass

    def configured(self) -> tuple[Protocol, Config]:
        protocol = load("unprotected")
        return protocol, protocol.configure()

    async def disturb(self, *_: Any) -> None:
        raise AssertionError("not in its capabilities")

    async def undisturb(self, *_: Any) -> None:
        pass

    async def cut_tail(self, *_: Any) -> str:
        raise AssertionError("not in its capabilities")

    async def heal(self) -> None:
        for name, state in self._states.items():
            if state == "paused" or (state == "down" and not self._lost):
                self._states[name] = "running"


def environment_of(shop: FakeShop, logs: Path) -> Callable[[Plan], Environment]:
    """Return a function that gives `conduct` this shop, whatever the runtime of its plan."""

    async def list_unfinished() -> list[dict[str, Any]]:
        return []

    return lambda _plan: Environment(shop, list_unfinished, logs)  # type: ignore[arg-type]
