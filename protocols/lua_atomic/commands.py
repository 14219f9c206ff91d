"""The store commands of an atomic checkout as pure functions: the twin of ``commands.lua``, command by command.

Beside the shop's own fields (``protocols.shop.ledger_orders``) an order keeps

- ``verdict:INSTANCE``   (life, sequence, why)   the result of its last checkout by INSTANCE; ``why`` is empty for a paid order

One result for each instance is enough: an instance runs one checkout of an order at a time, and its numbers rise from life to
life. The field stays when the order is created anew.
"""

from protocols.core import Config
from protocols.shop import ledger, ledger_orders
from protocols.store.lives import parts
from protocols.store.tables import Result, Tables

PAID: Result = ("paid",)


def checkout(tables: Tables, config: Config, now: int, txn: str, order: str, key: str = "") -> Result:
    """Take all items, charge the user and pay the order: ``("paid",)``; or change nothing: ``("no", why)``."""
    state, branches, _ = ledger_orders.plan(tables, order)
    if state in ledger_orders.NEVER:
        return ("no", f"{state}:order:{order}")
    instance, point = parts(txn)
    field = f"verdict:{instance}"
    *last, verdict = tables[f"order:{order}"].get(field, (*ledger_orders.NEVER_BEGUN, ""))
    if point <= tuple(last) and config.enabled("replay-verdict"):
        return ("no", verdict) if verdict else PAID
    if state == "paid":
        return PAID
    if rejection := ledger_orders.rejected_before(tables, config, order, key):
        return rejection
    why = _take(tables, config, tuple(change for _, _, changes in branches for change in changes))
    tables[f"order:{order}"][field] = (*point, why)
    if why:
        return ("no", why)
    ledger_orders.settle(tables, order)
    return PAID


def _take(tables: Tables, config: Config, changes: ledger.Changes) -> str:
    """Apply all changes and return ""; or apply none and return why."""
    steps = (changes,) if config.enabled("check-first") else tuple((change,) for change in changes)
    for step in steps:
        why = ledger.check(tables, config, step)
        if why:
            return why
        ledger.apply(tables, step)
    return ""


def unfinished(tables: Tables, config: Config, now: int, owner: str, older_than: int) -> Result:
    """Return no transaction: a checkout has ended as soon as it is in the store."""
    return ()


def list_txns(tables: Tables, config: Config, now: int) -> Result:
    """Return no transaction, as ``unfinished``."""
    return ()


def txn_verdict(tables: Tables, config: Config, now: int, txn: str) -> Result:
    """Return no verdict: the orders have the verdicts, and a transaction's name does not contain its order."""
    return ("",)


COMMANDS = {command.__name__: command for command in (checkout, unfinished, list_txns, txn_verdict)}
