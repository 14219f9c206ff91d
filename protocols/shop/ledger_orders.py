"""The orders of the shop as pure functions. The twin of ``ledger_orders.lua``, command by command.

- ``order:ID``      {"user": str, "paid": 0 or 1, "items": ((item, quantity, price), ...), "txn": txn or ""}, and
                  "begun:INSTANCE" -> (life, sequence) of the last checkout of it that INSTANCE began. A line keeps the price
                  of the moment at which it was added, and no field has the total. A removed order has lost its user, paid and
                  items, and keeps the other fields
- ``branches:ID``   "SERVICE/SHARD" -> ((key, delta), ...), the changes of an order without items

The protocols add transactions: ``txn`` is the one that checks the order out, and its order rejects other changes.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from protocols.core import Config
from protocols.shop.amounts import LIMIT
from protocols.shop.ledger import OK, Changes
from protocols.store.keys import recall_key
from protocols.store.lives import Point, parts, superseded
from protocols.store.tables import Result, Tables

Line = tuple[str, int, int]
"""Item, quantity, and the price of one piece when it was added."""

NEVER = ("missing", "negative")
"""The states of an order that no checkout changes."""
NEVER_BEGUN: Point = (-1, 0)

# ---------------------------------------------------------------- orders


def create_order(tables: Tables, config: Config, now: int, order: str, user: str) -> Result:
    """Create an order. An existing one stays as it is, because the command may be a late copy."""
    if f"order:{order}" not in tables:
        _set_order(tables, order, user, ())
    return OK


def _set_order(tables: Tables, order: str, user: str, items: tuple[Line, ...]) -> None:
    """Write the fields of an order, and leave those that a protocol keeps with it."""
    fields = {"user": user, "paid": 0, "items": items, "txn": ""}
    tables.setdefault(f"order:{order}", {}).update(fields)


def _order(tables: Tables, order: str) -> dict[str, Any] | None:
    """Return the fields of an order; None for one that was never created, or was removed."""
    fields = tables.get(f"order:{order}", {})
    return fields if "user" in fields else None


def exists(tables: Tables, order: str) -> bool:
    """Return whether the order was created and not removed."""
    return _order(tables, order) is not None


def find_order(tables: Tables, config: Config, now: int, order: str) -> Result:
    """Return ``("found", user, paid, total, ((item, quantity), ...))`` or ``("missing",)``."""
    fields = _order(tables, order)
    if fields is None:
        return ("missing",)
    lines = tuple((item, quantity) for item, quantity, _ in fields["items"])
    return ("found", fields["user"], fields["paid"], total(fields["items"]), lines)


def total(lines: tuple[Line, ...]) -> int:
    """Return the sum of all lines, each at its own price."""
    return sum(quantity * price for _, quantity, price in lines)


def add_item(tables: Tables, config: Config, now: int, order: str, item: str, quantity: int, price: int) -> Result:
    """Append a line: ``("ok", total)``, ``("missing",)``, ``("paid",)``, ``("busy", txn)`` or ``("over", total)``.

    The line keeps ``price`` after any change of the item's price. A negative line is ``over`` as well, because no line may
    reduce a total.
    """
    fields = _order(tables, order)
    rejection = _rejection(fields)
    if rejection or fields is None:
        return rejection
    before = total(fields["items"])
    lines = (*fields["items"], (item, quantity, price))
    if min(quantity, price) < 0 or total(lines) > LIMIT or sum(count for _, count, _ in lines) > LIMIT:
        return ("over", before)
    fields["items"] = lines
    return ("ok", total(lines))


def remove_item(tables: Tables, config: Config, now: int, order: str, item: str) -> Result:
    """Remove the first line with ``item``: ``("ok", total)``, ``("absent",)`` without one, or a rejection as of ``add_item``."""
    fields = _order(tables, order)
    rejection = _rejection(fields)
    if rejection or fields is None:
        return rejection
    for index, (name, _, _) in enumerate(fields["items"]):
        if name == item:
            fields["items"] = fields["items"][:index] + fields["items"][index + 1 :]
            return ("ok", total(fields["items"]))
    return ("absent",)


def remove_order(tables: Tables, config: Config, now: int, order: str) -> Result:
    """Remove an order: ``("ok",)``, or a rejection as of ``add_item`` for one that is paid or being checked out.

    The fields of a protocol stay: another order may get the same number, and late copies of the commands of the former one's
    checkouts must not take effect. The remaining key also stops a late copy of ``create_order``.
    """
    rejection = _rejection(_order(tables, order))
    if rejection:
        return rejection
    for field in ("user", "paid", "items"):
        del tables[f"order:{order}"][field]
    tables.pop(f"branches:{order}", None)
    return OK


def add_branch(
    tables: Tables, config: Config, now: int, order: str, service: str, shard: int, changes: tuple[tuple[str, int], ...]
) -> Result:
    """Set the changes of an order without items in one branch, for services of other shops.

    Returns ``("ok",)``, or a rejection as of ``add_item``.
    """
    rejection = _rejection(_order(tables, order))
    if rejection:
        return rejection
    tables.setdefault(f"branches:{order}", {})[f"{service}/{shard}"] = changes
    return OK


def _rejection(fields: dict[str, Any] | None) -> Result:
    """Return why an order rejects changes: ``("missing",)``, ``("paid",)``, ``("busy", txn)``; or ``()``."""
    if fields is None:
        return ("missing",)
    if fields["paid"]:
        return ("paid",)
    return ("busy", fields["txn"]) if fields["txn"] else ()


def init_orders(
    tables: Tables, config: Config, now: int, first: int, price: int, rows: tuple[tuple[str, str, str], ...]
) -> Result:
    """Create orders from ``first`` anew, one for each row ``(user, item, item)``, each item with quantity 1 at ``price``."""
    for number, (user, one, other) in enumerate(rows, start=first):
        _set_order(tables, str(number), user, ((one, 1, price), (other, 1, price)))
    return OK


# ---------------------------------------------------------------- checkouts, for the commands of protocols


class CheckoutPlan(NamedTuple):
    """The changes of a checkout. A branch is ``(service, shard, changes)``.

    ``state`` is ``open``, ``paid``, ``missing`` or ``negative``. ``holder`` is the transaction that checks an open order out,
    if any.
    """

    state: str
    branches: tuple[tuple[str, int, Changes], ...] = ()
    holder: str = ""


def plan(tables: Tables, order: str) -> CheckoutPlan:
    """Return the plan of a checkout of ``order``.

    An order without items has the branches of ``add_branch``, or none. The changes of the items have the sequence in which the
    items were first added. ``negative`` is the state of an order with a negative line, which no command makes: its checkout
    would add stock or credit.
    """
    fields = _order(tables, order)
    if fields is None:
        return CheckoutPlan("missing")
    if fields["paid"]:
        return CheckoutPlan("paid")
    if any(min(quantity, price) < 0 for _, quantity, price in fields["items"]):
        return CheckoutPlan("negative")
    wanted: dict[str, int] = {}
    for item, quantity, _ in fields["items"]:
        wanted[f"item:{item}"] = wanted.get(f"item:{item}", 0) - quantity
    if not wanted:
        return CheckoutPlan("open", tuple(_added_branches(tables.get(f"branches:{order}", {}))), fields["txn"])
    charge = (f"user:{fields['user']}", -total(fields["items"]))
    return CheckoutPlan("open", (("stock", 0, tuple(wanted.items())), ("payment", 0, (charge,))), fields["txn"])


def _added_branches(branches: dict[str, Any]) -> Iterator[tuple[str, int, tuple[tuple[str, int], ...]]]:
    for name, changes in sorted(branches.items()):
        service, _, shard = name.rpartition("/")
        yield service, int(shard), changes


def holder(tables: Tables, order: str) -> str:
    """Return the transaction that checks the order out, or ""."""
    txn: str = tables.get(f"order:{order}", {}).get("txn", "")
    return txn


def hold(tables: Tables, order: str, txn: str) -> None:
    """Record that ``txn`` checks the order out, or with "" that none does. An order that does not exist stays so."""
    if f"order:{order}" in tables:
        tables[f"order:{order}"]["txn"] = txn
        if txn:
            instance, point = parts(txn)
            tables[f"order:{order}"][f"begun:{instance}"] = point


def admit(
    tables: Tables, config: Config, order: str, txn: str, key: str = "", *, known: bool
) -> tuple[tuple[tuple[str, int, Changes], ...], Result]:
    """Return the branches of a checkout that ``txn`` may begin, and ``()``; or no branches and a rejection.

    The rejection is ``("paid",)``, ``("no", why)`` for an order that no checkout changes, or ``("busy", txn)``: another
    transaction checks the order out, or the command is a late copy and its own transaction has ended. ``known``: the protocol
    has a record of ``txn``, so the command is a repetition. ``key`` is the idempotency key of the request, "" for none.
    """
    state, branches, holder = plan(tables, order)
    if state == "paid":
        return (), ("paid",)
    if rejection := rejected_before(tables, config, order, key):
        return (), rejection
    if state in NEVER:
        return (), ("no", f"{state}:order:{order}")
    if holder not in ("", txn) and config.enabled("order-lock"):
        return (), ("busy", holder)
    if not known and _begun(tables, config, order, txn) and config.enabled("begin-once"):
        return (), ("busy", txn)
    return branches, ()


def rejected_before(tables: Tables, config: Config, order: str, key: str) -> Result:
    """Return the stored rejection of a checkout with this key, or ``()``.

    ``("no", "other:key:KEY")`` if the key belongs to another request.
    """
    remembered = recall_key(tables, key)
    if remembered is None or not config.enabled("recall-rejection"):
        return ()
    return remembered.result if remembered.request == f"checkout {order}" else ("no", f"other:key:{key}")


def _begun(tables: Tables, config: Config, order: str, txn: str) -> bool:
    """Return whether ``txn`` has begun before, or its life is over.

    One number for each instance is enough: an instance runs one checkout of an order at a time, and its numbers rise from life
    to life.
    """
    instance, point = parts(txn)
    last: Point = tables.get(f"order:{order}", {}).get(f"begun:{instance}", NEVER_BEGUN)
    return point <= last or superseded(tables, config, txn)


def settle(tables: Tables, order: str) -> None:
    """Record that the order is paid, and that no transaction checks it out."""
    tables[f"order:{order}"]["paid"] = 1
    tables[f"order:{order}"]["txn"] = ""


COMMANDS = {
    command.__name__: command
    for command in (create_order, find_order, add_item, remove_item, remove_order, add_branch, init_orders)
}
