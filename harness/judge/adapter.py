"""Adapters: a shop with an API of another shape, or none over HTTP at all, as a class of a few async methods.

    from wdm.testing import Adapter, Rejected, Unknown

    class MyShop(Adapter):
        async def create_user(self) -> str: ...
        ...

An adapter says what an answer means: a method that returns says "it happened", `Rejected` says "it certainly did not happen",
`Unknown` and every other exception say "it may have happened". `Accepted` is for a checkout that the shop finishes later.
"""

import asyncio
import importlib.util
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NamedTuple, Self

from harness.judge.shop import ExaminedShop
from harness.runtimes.base import Breakable
from harness.workload.client import ACCEPTED, LONGEST_TEXT, Response, interpret
from protocols.errors import UsageError


class Rejected(Exception):
    """An operation that certainly did not happen, with the shop's reason. `gone`: the entity does not exist."""

    def __init__(self, reason: object = "", *, gone: bool = False) -> None:
        super().__init__(reason)
        self.gone = gone


class Unknown(Exception):
    """An operation that may have happened or may still happen, with the reason."""


class Accepted(Exception):
    """A checkout that the shop has accepted and finishes later; the examination reads the order until then."""


class ItemView(NamedTuple):
    """An item as it is read: pieces, and the price of one."""

    stock: int
    price: int


class OrderView(NamedTuple):
    """An order as it is read: its user, its lines as (item, quantity), its total and whether it is paid."""

    user: str
    lines: Sequence[tuple[str, int]]
    total: int
    paid: bool


class Adapter:
    """The base of adapters. Ids are texts, amounts whole numbers. A subclass implements the ten methods that raise here.

    `open` is called once before the first and `close` after the last call; one adapter serves many concurrent calls.
    """

    async def open(self) -> None:
        """Open connections."""

    async def close(self) -> None:
        """Close connections."""

    async def create_user(self) -> str:
        """Make a user with credit 0 and return its id."""
        raise NotImplementedError

    async def add_credit(self, user: str, amount: int) -> None:
        """Add to the credit of a user."""
        raise NotImplementedError

    async def create_item(self, price: int) -> str:
        """Make an item with stock 0 and return its id."""
        raise NotImplementedError

    async def add_stock(self, item: str, amount: int) -> None:
        """Add to the stock of an item."""
        raise NotImplementedError

    async def create_order(self, user: str) -> str:
        """Make an empty order and return its id."""
        raise NotImplementedError

    async def add_line(self, order: str, item: str, quantity: int) -> None:
        """Add a line to an order."""
        raise NotImplementedError

    async def checkout(self, order: str) -> None:
        """Check an order out: take the stock and the credit, and mark it as paid."""
        raise NotImplementedError

    async def read_user(self, user: str) -> int:
        """Return the credit of a user."""
        raise NotImplementedError

    async def read_item(self, item: str) -> ItemView:
        """Return the stock and the price of an item."""
        raise NotImplementedError

    async def read_order(self, order: str) -> OrderView:
        """Return an order."""
        raise NotImplementedError


METHODS = {
    "create_user": "create_user", "add_funds": "add_credit", "create_item": "create_item", "add_stock": "add_stock",
    "create_order": "create_order", "add_item": "add_line", "checkout": "checkout", "find_user": "read_user",
    "find_item": "read_item", "find_order": "read_order",
}  # fmt: skip
"""The operations of an adapter, and the method of each."""


PREFIX = "wdm_adapter_"
"""The beginning of an adapter's name as a module, so that it shadows no other one."""


class AdapterClient:
    """A client of a shop behind an adapter, with `timeout_s` seconds for each call. No behaviour of the adapter raises."""

    def __init__(self, adapter: Adapter, timeout_s: float) -> None:
        self._adapter = adapter
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, _e: object, _t: TracebackType | None) -> None:
        return None

    async def call(self, operation: str, *args: str | int) -> Response:
        """Make one call of `METHODS`."""
        method: Callable[..., Awaitable[Any]] = getattr(self._adapter, METHODS[operation])
        try:
            async with asyncio.timeout(self._timeout_s):
                body = _body(operation, args, await method(*args))
        except Rejected as rejection:
            return Response("fail", 404 if rejection.gone else 409, _text(rejection))
        except Accepted as accepted:
            return Response("unknown", ACCEPTED, _text(accepted))
        except TimeoutError:
            return Response("unknown", 0, f"no answer in {self._timeout_s:g} s")
        except Exception as error:  # noqa: BLE001 - an adapter's failure says nothing about the shop: the outcome is unknown
            await asyncio.sleep(0)
            return Response("unknown", 0, _text(error))
        return interpret(operation, 200, body)


def behind(file: Path, runtime: Breakable) -> ExaminedShop:
    """Return the shop behind the adapter in a file. Raises `UsageError` for a file without exactly one adapter that works."""
    kind = load(file)
    try:
        adapter = kind()
    except Exception as error:  # noqa: BLE001 - the user's class may raise anything
        raise UsageError(
            f"adapter {file}: {kind.__name__}() failed: {type(error).__name__}: {error}; what may fail belongs into `open`"
        ) from None
    return ExaminedShop(
        address=f"{file.name}:{type(adapter).__name__}",
        connect=lambda limit_s: AdapterClient(adapter, limit_s),
        runtime=runtime,
        operations=frozenset(METHODS),
        http=False,
        lifetime=(adapter.open, adapter.close),
    )


def load(file: Path) -> type[Adapter]:
    """Return the class in a file that is an `Adapter`. Raises `UsageError` naming the file and the defect."""
    spec = importlib.util.spec_from_file_location(f"{PREFIX}{file.stem}", file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise UsageError(f"adapter {file}: there is no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there for the names in annotations
    known = {name.partition(".")[0] for name in sys.modules}
    sys.path.insert(0, str(file.parent.absolute()))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # noqa: BLE001 - the user's file may raise anything
        raise UsageError(f"adapter {file}: it cannot be imported: {type(error).__name__}: {error}") from None
    finally:
        sys.path.pop(0)
        _forget(file.parent.absolute(), known)
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Adapter)]
    own = [kind for kind in kinds if kind.__module__ == module.__name__]
    if len(own) != 1:
        names = ", ".join(kind.__name__ for kind in own) or "none"
        raise UsageError(f"adapter {file}: it has to have exactly one subclass of wdm.testing.Adapter, and has {names}")
    missing = [name for name in METHODS.values() if getattr(own[0], name) is getattr(Adapter, name)]
    if missing:
        raise UsageError(f"adapter {file}: {own[0].__name__} lacks {', '.join(missing)}")
    return own[0]


def _forget(folder: Path, known: set[str]) -> None:
    """Forget the modules that an adapter has imported from its folder: the next adapter may have others of these names."""
    own = {name for name, module in sys.modules.items() if name not in known and folder in _places(module)}
    for name in tuple(sys.modules):
        if name.partition(".")[0] in own:
            del sys.modules[name]


def _places(module: ModuleType) -> list[Path]:
    """Return the folders with a module, or with the folder of a package."""
    if getattr(module, "__path__", None):
        return [Path(path).parent for path in module.__path__]
    file = getattr(module, "__file__", None)
    return [Path(file).parent] if file else []


def _body(operation: str, args: Sequence[str | int], value: Any) -> Any:
    """Return the result of a method as the body that the course's API has for it; any other value as it is, malformed."""
    match operation, value:
        case "find_user", int():
            return {"user_id": args[0], "credit": value}
        case "find_item", (int(stock), int(price)):
            return {"stock": stock, "price": price}
        case "find_order", (str(user), lines, int(total), bool(paid)):
            items = [list(line) for line in lines]
            return {"order_id": args[0], "user_id": user, "items": items, "total_cost": total, "paid": paid}
        case (("create_user" | "create_item" | "create_order"), str() | int()):
            return {f"{operation.removeprefix('create_')}_id": value}
        case (("find_user" | "find_item" | "find_order" | "create_user" | "create_item" | "create_order"), _):
            return str(value)
        case _:
            return ""


def _text(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:LONGEST_TEXT]
