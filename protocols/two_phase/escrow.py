"""Escrow: a transaction reserves the amounts that it will take, and leaves the rest to others. The twin of ``escrow.lua``.

After O'Neil, "The escrow transactional method", TODS 11(4), 1986, sections 2 and 3. Subtractions and additions commute, so
transactions that do nothing else need no exclusive locks; only the guard must hold, for every subset of them that commits. An
account has

- ``held``  the sum that prepared transactions take from it, if all of them commit
- ``due``   the sum that they add

and ``balance - held`` is never below 0, ``balance + due`` never above the limit. The command that writes PREPARED raises the sum,
and the command that ends the transaction lowers them: after a crash they agree with the records.

A transaction for which the balance suffices, but not the unreserved rest, is rejected as by a lock, and repeated: others may
abort and return their amounts. No transaction waits while it holds a reservation, so there is no deadlock.
"""

from typing import Any

from protocols.core import Config
from protocols.shop import ledger
from protocols.shop.ledger import Changes
from protocols.store.tables import Tables


def check_reservation(tables: Tables, config: Config, changes: Changes) -> str:
    """Return why these amounts cannot be reserved: ``short:KEY``, ``over:KEY``, ``locked:KEY:HOLDER``; or ""."""
    for key, delta in changes:
        account = tables[key]
        if account["lock"] and config.enabled("locks"):
            return f"locked:{key}:{account['lock']}"  # since a time with another policy
        why = ledger.check_change(tables, config, key, delta)
        if why:
            return why
        if config.enabled("guard") and config.enabled("escrow-guard") and ledger.reserved_by_others(account, delta):
            return f"locked:{key}:{ledger.ESCROW}"
    return ""


def reserve(tables: Tables, config: Config, changes: Changes) -> None:
    """Raise the sums of the accounts by these amounts."""
    for key, delta in changes if config.enabled("escrow-record") else ():
        field = _field(delta)
        tables[key][field] = tables[key].get(field, 0) + abs(delta)


def unreserve(account: dict[str, Any], delta: int) -> None:
    """Lower the sum of the account by an amount of a transaction that ends."""
    field = _field(delta)
    if field in account:
        account[field] -= abs(delta)


def _field(delta: int) -> str:
    return "held" if delta < 0 else "due"
