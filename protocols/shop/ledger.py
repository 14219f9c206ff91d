"""The shop's data as pure functions: accounts (what stock and payment keep) and orders.

The twin of ``ledger.lua``, command by command; ``tests/conformance`` compares every reply and the whole state.
A store is ``tables``: the key of a Valkey key to its fields.

- ``item:ID``, ``user:ID``   {"balance": int, "price": int, "lock": txn or ""}; a user's price is 0; and, where transactions share
                           an account, "held" and "due": what they set aside to take from it and to add; once it was set anew,
                           "life": how often that was
- ``order:ID``               {"user": str, "paid": 0 or 1, "items": ((item, quantity, price), ...), "txn": txn or ""},
                           and "begun:INSTANCE" -> (life, sequence) of the last transaction in which INSTANCE began a
                           checkout of it;
                           a line keeps the price at which it was added, and the total is the sum of the lines, kept nowhere;
                           one that was removed has lost its user, paid and items, and keeps the rest
- ``branches:ID``            "SERVICE/SHARD" -> ((key, delta), ...)   what an order changes that has no items

The ledger does not know who locks an account or holds an order, it only respects it: what is locked is not changed, and
not read either unless the reader asks for the last committed value.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from protocols.core import Config
from protocols.shop.amounts import LIMIT
from protocols.store.lives import Point, parts, superseded
from protocols.store.tables import Result, Tables

Changes = tuple[tuple[str, int], ...]
"""What a transaction adds to accounts: (key, delta) each, a key at most once."""
Line = tuple[str, int, int]
"""Item, quantity, and the price of one piece when it was added."""

OK: Result = ("ok",)
ESCROW = "escrow"
"""Who holds what several have set aside."""
NEVER_BEGUN: Point = (-1, 0)

# ---------------------------------------------------------------- accounts


def create_account(tables: Tables, config: Config, now: int, key: str, balance: int, price: int) -> Result:
    """A new account. One that is there stays as it is: this may be a copy that comes late."""
    if key not in tables:
        _set_account(tables, key, balance, price)
    return OK


def find_account(tables: Tables, config: Config, now: int, key: str) -> Result:
    """``("found", balance, price)``, ``("missing",)`` or, with locking reads, ``("locked", holder)``.

    Reads of what is ``settled`` wait for everybody, also for those who only set something aside.
    """
    account = tables.get(key)
    if account is None:
        return ("missing",)
    reads = config.options.get("reads")
    holder = _occupant(tables, key) if reads == "settled" else account["lock"]
    if holder and reads != "committed":
        return ("locked", holder)
    return ("found", account["balance"], account["price"])


def adjust(tables: Tables, config: Config, now: int, key: str, delta: int) -> Result:
    """Add ``delta``: ``("ok" | "short" | "over", balance)``, ``("missing",)`` or ``("locked", holder)``."""
    account = tables.get(key)
    if account is None:
        return ("missing",)
    if account["lock"]:
        return ("locked", account["lock"])
    why = refusal(account["balance"], delta)
    if why:
        return (why, account["balance"])
    if set_aside_by_others(account, delta):
        return ("locked", ESCROW)
    account["balance"] += delta
    return ("ok", account["balance"])


def init_accounts(
    tables: Tables, config: Config, now: int, prefix: str, first: int, count: int, balance: int, price: int
) -> Result:
    """Accounts ``prefix:first`` onwards set anew, all or, if one is locked, none: ``("locked", holder)``.

    Each begins another life: who gives something back has to know whether that is still the account it was taken from.
    """
    keys = [f"{prefix}:{number}" for number in range(first, first + count)]
    for key in keys:
        occupant = _occupant(tables, key)
        if occupant:
            return ("locked", occupant)
    for key in keys:
        before = life(tables, key)
        _set_account(tables, key, balance, price)
        tables[key]["life"] = before + 1
    return OK


def life(tables: Tables, key: str) -> int:
    """How often the account was set anew."""
    found: int = tables.get(key, {}).get("life", 0)
    return found


def _set_account(tables: Tables, key: str, balance: int, price: int) -> None:
    tables.setdefault(key, {}).update({"balance": balance, "price": price, "lock": ""})


def _occupant(tables: Tables, key: str) -> str:
    """Who has locked the account or set some of it aside, if anybody."""
    account = tables.get(key, {})
    return account.get("lock", "") or (ESCROW if shared(account) else "")


def shared(account: dict[str, Any]) -> bool:
    """Whether transactions have set something aside here."""
    return bool(account.get("held") or account.get("due"))


def set_aside_by_others(account: dict[str, Any], delta: int) -> bool:
    """Whether ``delta``, which the balance allows, would need what others have set aside."""
    rest = account["balance"] + (account.get("due", 0) if delta > 0 else -account.get("held", 0))
    return bool(refusal(rest, delta))


def refusal(balance: int, delta: int) -> str:
    """Why ``delta`` cannot be added: ``short``, ``over`` or, if it can, nothing."""
    if balance + delta < 0:
        return "short"
    return "over" if balance + delta > LIMIT else ""


# ---------------------------------------------------------------- changes of a transaction, (key, delta) each


def check_change(tables: Tables, config: Config, key: str, delta: int) -> str:
    """Return why a change cannot be made: ``missing:KEY``, ``short:KEY``, ``over:KEY``; or "". Locks are not looked at."""
    if key not in tables:
        return f"missing:{key}"
    why = refusal(tables[key]["balance"], delta) if config.enabled("guard") else ""
    return f"{why}:{key}" if why else ""


def check(tables: Tables, config: Config, changes: Changes) -> str:
    """Return why the first change that cannot be made cannot, as ``check_change``; or "" if all can."""
    return next(filter(None, (check_change(tables, config, key, delta) for key, delta in changes)), "")


def apply(tables: Tables, changes: Changes) -> None:
    """Make the changes, which have been checked."""
    for key, delta in changes:
        tables[key]["balance"] += delta


# ---------------------------------------------------------------- orders


def create_order(tables: Tables, config: Config, now: int, order: str, user: str) -> Result:
    """A new order. One that is there stays as it is: this may be a copy that comes late."""
    if f"order:{order}" not in tables:
        _set_order(tables, order, user, ())
    return OK


def _set_order(tables: Tables, order: str, user: str, items: tuple[Line, ...]) -> None:
    """New, or set anew: whatever else a protocol keeps with the order stays."""
    fields = {"user": user, "paid": 0, "items": items, "txn": ""}
    tables.setdefault(f"order:{order}", {}).update(fields)


def _order(tables: Tables, order: str) -> dict[str, Any] | None:
    """Its fields; None if it was never made, or removed."""
    found = tables.get(f"order:{order}", {})
    return found if "user" in found else None


def exists(tables: Tables, order: str) -> bool:
    return _order(tables, order) is not None


def find_order(tables: Tables, config: Config, now: int, order: str) -> Result:
    """``("found", user, paid, total, ((item, quantity), ...))`` or ``("missing",)``."""
    found = _order(tables, order)
    if found is None:
        return ("missing",)
    lines = tuple((item, quantity) for item, quantity, _ in found["items"])
    return ("found", found["user"], found["paid"], total(found["items"]), lines)


def total(lines: tuple[Line, ...]) -> int:
    """What all lines cost together, each at its own price."""
    return sum(quantity * price for _, quantity, price in lines)


def add_item(tables: Tables, config: Config, now: int, order: str, item: str, quantity: int, price: int) -> Result:
    """``("ok", total)``, ``("missing",)``, ``("paid",)``, ``("busy", txn)`` or ``("over", total)``.

    The order keeps ``price``, whatever becomes of the item's. A line below 0 is ``over`` as well: no sum may ever shrink by it.
    """
    found = _order(tables, order)
    refused = _closed(found)
    if refused or found is None:
        return refused
    before = total(found["items"])
    lines = (*found["items"], (item, quantity, price))
    if min(quantity, price) < 0 or total(lines) > LIMIT or sum(count for _, count, _ in lines) > LIMIT:
        return ("over", before)
    found["items"] = lines
    return ("ok", total(lines))


def remove_item(tables: Tables, config: Config, now: int, order: str, item: str) -> Result:
    """Take the first line with ``item`` out again: ``("ok", total)``, or as ``add_item``; ``("absent",)`` if not in it."""
    found = _order(tables, order)
    refused = _closed(found)
    if refused or found is None:
        return refused
    for index, (name, _, _) in enumerate(found["items"]):
        if name == item:
            found["items"] = found["items"][:index] + found["items"][index + 1 :]
            return ("ok", total(found["items"]))
    return ("absent",)


def remove_order(tables: Tables, config: Config, now: int, order: str) -> Result:
    """``("ok",)``, or as ``add_item``: what is paid or being checked out stays.

    What a protocol keeps with the order outlives it: another order may get its number, and late copies of the commands of the
    former one's checkouts must still be known as such. That there was one also stops a late copy of what had made it.
    """
    refused = _closed(_order(tables, order))
    if refused:
        return refused
    for field in ("user", "paid", "items"):
        del tables[f"order:{order}"][field]
    tables.pop(f"branches:{order}", None)
    return OK


def add_branch(
    tables: Tables, config: Config, now: int, order: str, service: str, shard: int, changes: tuple[tuple[str, int], ...]
) -> Result:
    """What an order without items changes there, said by whoever made it: for services that are not this shop's.

    ``("ok",)``, or as ``add_item``.
    """
    refused = _closed(_order(tables, order))
    if refused:
        return refused
    tables.setdefault(f"branches:{order}", {})[f"{service}/{shard}"] = changes
    return OK


def _closed(found: dict[str, Any] | None) -> Result:
    if found is None:
        return ("missing",)
    if found["paid"]:
        return ("paid",)
    return ("busy", found["txn"]) if found["txn"] else ()


def init_orders(
    tables: Tables, config: Config, now: int, first: int, price: int, rows: tuple[tuple[str, str, str], ...]
) -> Result:
    """Orders ``first`` onwards, one for each row ``(user, item, item)``, both items with quantity 1 at ``price``."""
    for number, (user, one, other) in enumerate(rows, start=first):
        _set_order(tables, str(number), user, ((one, 1, price), (other, 1, price)))
    return OK


# ---------------------------------------------------------------- what a protocol asks of the ledger


class CheckoutPlan(NamedTuple):
    """What a checkout of an order changes. A branch is ``(service, shard, changes)``.

    ``state`` is ``open``, ``paid``, ``missing`` or ``negative``. ``holder`` is the transaction that checks an open order out,
    if any.
    """

    state: str
    branches: tuple[tuple[str, int, Changes], ...] = ()
    holder: str = ""


def plan(tables: Tables, order: str) -> CheckoutPlan:
    """Return what a checkout of ``order`` changes.

    An order without items has the branches that were
    given to it, or none. The sums of quantities keep the order in which the items were first added. ``negative``: a line would
    give away stock or credit. None can be made, and should there be one all the same, nobody is paid for buying.
    """
    found = _order(tables, order)
    if found is None:
        return CheckoutPlan("missing")
    if found["paid"]:
        return CheckoutPlan("paid")
    if any(min(quantity, price) < 0 for _, quantity, price in found["items"]):
        return CheckoutPlan("negative")
    wanted: dict[str, int] = {}
    for item, quantity, _ in found["items"]:
        wanted[f"item:{item}"] = wanted.get(f"item:{item}", 0) - quantity
    if not wanted:
        return CheckoutPlan("open", tuple(_given(tables.get(f"branches:{order}", {}))), found["txn"])
    charge = (f"user:{found['user']}", -total(found["items"]))
    return CheckoutPlan("open", (("stock", 0, tuple(wanted.items())), ("payment", 0, (charge,))), found["txn"])


NEVER = ("missing", "negative")
"""States of an order that no checkout gets past."""


def _given(branches: dict[str, Any]) -> Iterator[tuple[str, int, tuple[tuple[str, int], ...]]]:
    for name, changes in sorted(branches.items()):
        service, _, shard = name.rpartition("/")
        yield service, int(shard), changes


def holder(tables: Tables, order: str) -> str:
    """The transaction that is checking the order out, if any."""
    txn: str = tables.get(f"order:{order}", {}).get("txn", "")
    return txn


def hold(tables: Tables, order: str, txn: str) -> None:
    """Mark the order as being checked out by ``txn``; with no name, free it. An order that is gone stays gone."""
    if f"order:{order}" in tables:
        tables[f"order:{order}"]["txn"] = txn
        if txn:
            instance, point = parts(txn)
            tables[f"order:{order}"][f"begun:{instance}"] = point


def begun(tables: Tables, order: str, txn: str) -> bool:
    """Whether ``txn`` has begun before, or its life is over: an instance checks an order out once at a time, and its numbers
    rise from life to life."""
    instance, point = parts(txn)
    last: Point = tables.get(f"order:{order}", {}).get(f"begun:{instance}", NEVER_BEGUN)
    return point <= last or superseded(tables, txn)


def settle(tables: Tables, order: str) -> None:
    """The order is paid, and free."""
    tables[f"order:{order}"]["paid"] = 1
    tables[f"order:{order}"]["txn"] = ""


COMMANDS = {
    command.__name__: command
    for command in (
        create_account,
        find_account,
        adjust,
        init_accounts,
        create_order,
        find_order,
        add_item,
        remove_item,
        remove_order,
        add_branch,
        init_orders,
    )
}
