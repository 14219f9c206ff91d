"""Escrow: what a transaction will take is set aside, and others may take of the rest. The twin of ``escrow.lua``.

After O'Neil, "The escrow transactional method", TODS 11(4), 1986, sections 2 and 3. To take and to add commute, so those who
do nothing else need not exclude each other; what has to hold is the guard, whatever becomes of each of them. An account has

- ``held``  the sum of all that prepared transactions take from it, if they commit
- ``due``   the sum of all that they add

and never is ``balance - held`` below 0 or ``balance + due`` over the limit. The sums are written by the command that writes
PREPARED, and lowered by the one that ends it: after a crash they say what the records say.

Who finds too little although the balance would do is refused as by a lock, and tries again: others may give theirs back.
Nobody waits while it holds something, so there is no deadlock.
"""

from typing import Any

from protocols.core import Config
from protocols.shop import ledger
from protocols.shop.ledger import Changes
from protocols.store.tables import Tables


def why_not(tables: Tables, config: Config, changes: Changes) -> str:
    """Why these cannot be set aside: ``short:KEY``, ``over:KEY``, ``locked:KEY:HOLDER``, or nothing."""
    for key, delta in changes:
        account = tables[key]
        if account["lock"] and config.enabled("locks"):
            return f"locked:{key}:{account['lock']}"  # from a time with another policy
        why = ledger.check_change(tables, config, key, delta)
        if why:
            return why
        if config.enabled("guard") and config.enabled("escrow-guard") and ledger.reserved_by_others(account, delta):
            return f"locked:{key}:{ledger.ESCROW}"
    return ""


def set_aside(tables: Tables, config: Config, changes: Changes) -> None:
    for key, delta in changes if config.enabled("escrow-record") else ():
        field = _field(delta)
        tables[key][field] = tables[key].get(field, 0) + abs(delta)


def take_back(account: dict[str, Any], delta: int) -> None:
    """It has been taken, or never will be."""
    field = _field(delta)
    if field in account:
        account[field] -= abs(delta)


def _field(delta: int) -> str:
    return "held" if delta < 0 else "due"
