"""The store commands without a protocol, plain reads and writes: the twin of ``commands.lua``."""

from protocols.core import Config
from protocols.shop import ledger, ledger_orders
from protocols.store.tables import Result, Tables


def read_order(tables: Tables, config: Config, now: int, order: str) -> Result:
    """Return ``("open", branches)``, or the state of an order that no checkout may begin: ``("paid",)``, ``("missing",)``, ..."""
    state, branches, holder = ledger_orders.plan(tables, order)
    if holder:
        return ("busy",)
    return ("open", branches) if state == "open" else (state,)


def change(tables: Tables, config: Config, now: int, txn: str, call: int, sender: str, key: str, delta: int) -> Result:
    """Add ``delta``: ``(why,)``, empty for success. A repeated command has its effect again.

    The command does not use ``txn``, ``call`` and ``sender``: they return to the machine with the result.
    """
    result = ledger.adjust(tables, config, now, key, delta)
    if result[0] == "ok":
        return ("",)
    return (f"{result[0]}:{key}:{result[1]}" if result[0] == "locked" else f"{result[0]}:{key}",)


def mark_paid(tables: Tables, config: Config, now: int, order: str) -> Result:
    """Pay the order: ``("paid",)`` or ``("missing",)``."""
    if not ledger_orders.exists(tables, order):
        return ("missing",)
    ledger_orders.settle(tables, order)
    return ("paid",)


def unfinished(tables: Tables, config: Config, now: int, owner: str, older_than: int) -> Result:
    """Return no transaction: the store has no records of them."""
    return ()


def list_txns(tables: Tables, config: Config, now: int) -> Result:
    """Return no transaction, as ``unfinished``."""
    return ()


def txn_verdict(tables: Tables, config: Config, now: int, txn: str) -> Result:
    """Return no verdict: the store has none."""
    return ("",)


COMMANDS = {
    command.__name__: command for command in (read_order, change, mark_paid, unfinished, list_txns, txn_verdict)
}
