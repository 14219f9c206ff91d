"""The accounts of stock and payment as pure functions. The twin of ``ledger.lua``, command by command; ``tests/conformance``
compares every result and the whole state. The orders are in ``ledger_orders.py``.

- ``item:ID``, ``user:ID``   {"balance": int, "price": int, "lock": txn or ""}; the price of a user is 0. Under escrow also
                           "held" and "due": the sums that prepared transactions take and add; after the first
                           ``init_accounts`` of the account also "life": the number of times that it was created anew

The ledger respects locks and reservations that protocols set: a locked account rejects changes, and also reads unless the
option ``reads`` returns the last committed value.
"""

from typing import Any

from protocols.core import Config
from protocols.shop.amounts import LIMIT
from protocols.store.tables import Result, Tables

Changes = tuple[tuple[str, int], ...]
"""The changes of a transaction: (key, delta) each, a key at most once."""

OK: Result = ("ok",)
ESCROW = "escrow"
"""The holder in a result about an account on which several transactions have reserved amounts."""

# ---------------------------------------------------------------- accounts


def create_account(tables: Tables, config: Config, now: int, key: str, balance: int, price: int) -> Result:
    """Create an account. An existing one stays as it is, because the command may be a late copy."""
    if key not in tables:
        _set_account(tables, key, balance, price)
    return OK


def find_account(tables: Tables, config: Config, now: int, key: str) -> Result:
    """Return ``("found", balance, price)``, ``("missing",)`` or, with locking reads, ``("locked", holder)``.

    With ``reads`` set to ``settled``, a reservation under escrow counts as a lock.
    """
    account = tables.get(key)
    if account is None:
        return ("missing",)
    reads = config.options.get("reads")
    holder = _holder(tables, key) if reads == "settled" else account["lock"]
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
    why = out_of_range(account["balance"], delta)
    if why:
        return (why, account["balance"])
    if reserved_by_others(account, delta):
        return ("locked", ESCROW)
    account["balance"] += delta
    return ("ok", account["balance"])


def init_accounts(
    tables: Tables, config: Config, now: int, prefix: str, first: int, count: int, balance: int, price: int
) -> Result:
    """Create ``count`` accounts from ``prefix:first`` anew, or none if one is locked: ``("ok",)`` or ``("locked", holder)``.

    Each account begins another life, so that no compensation returns an amount to an account that did not lose it.
    """
    keys = [f"{prefix}:{number}" for number in range(first, first + count)]
    for key in keys:
        holder = _holder(tables, key)
        if holder:
            return ("locked", holder)
    for key in keys:
        before = life(tables, key)
        _set_account(tables, key, balance, price)
        tables[key]["life"] = before + 1
    return OK


def life(tables: Tables, key: str) -> int:
    """Return the number of times that the account was created anew."""
    number: int = tables.get(key, {}).get("life", 0)
    return number


def _set_account(tables: Tables, key: str, balance: int, price: int) -> None:
    tables.setdefault(key, {}).update({"balance": balance, "price": price, "lock": ""})


def _holder(tables: Tables, key: str) -> str:
    """Return the transaction that locks the account, ``ESCROW`` for reservations, or ""."""
    account = tables.get(key, {})
    return account.get("lock", "") or (ESCROW if has_reservations(account) else "")


def has_reservations(account: dict[str, Any]) -> bool:
    """Return whether transactions have reserved amounts of the account."""
    return bool(account.get("held") or account.get("due"))


def reserved_by_others(account: dict[str, Any], delta: int) -> bool:
    """Return whether ``delta``, which the balance allows, needs an amount that other transactions have reserved."""
    rest = account["balance"] + (account.get("due", 0) if delta > 0 else -account.get("held", 0))
    return bool(out_of_range(rest, delta))


def out_of_range(balance: int, delta: int) -> str:
    """Return ``short`` or ``over`` for a sum below 0 or above ``LIMIT``, "" for any other."""
    if balance + delta < 0:
        return "short"
    return "over" if balance + delta > LIMIT else ""


# ---------------------------------------------------------------- changes of a transaction, (key, delta) each


def check_change(tables: Tables, config: Config, key: str, delta: int) -> str:
    """Return why a change is impossible: ``missing:KEY``, ``short:KEY``, ``over:KEY``; or "". Locks do not matter here."""
    if key not in tables:
        return f"missing:{key}"
    why = out_of_range(tables[key]["balance"], delta) if config.enabled("guard") else ""
    return f"{why}:{key}" if why else ""


def check(tables: Tables, config: Config, changes: Changes) -> str:
    """Return why the first impossible change is impossible, as ``check_change``; or "" if all changes are possible."""
    return next(filter(None, (check_change(tables, config, key, delta) for key, delta in changes)), "")


def apply(tables: Tables, changes: Changes) -> None:
    """Add each delta to its account. The caller has checked the changes."""
    for key, delta in changes:
        tables[key]["balance"] += delta


COMMANDS = {command.__name__: command for command in (create_account, find_account, adjust, init_accounts)}
