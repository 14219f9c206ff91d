"""The store's side of no protocol: plain reads and writes. The twin of ``commands.lua``."""

from protocols.core import Config
from protocols.shop import ledger, ledger_orders
from protocols.store.tables import Result, Tables


def read_order(tables: Tables, config: Config, now: int, order: str) -> Result:
    """``("open", branches)``, or why there is nothing to do: ``("paid",)``, ``("missing",)``, ..."""
    state, branches, holder = ledger_orders.plan(tables, order)
    if holder:
        return ("busy",)
    return ("open", branches) if state == "open" else (state,)


def change(tables: Tables, config: Config, now: int, txn: str, call: int, sender: str, key: str, delta: int) -> Result:
    """``(why,)``: empty if ``delta`` was added. The names are the caller's notes; nobody looks whether it is the first time."""
    result = ledger.adjust(tables, config, now, key, delta)
    if result[0] == "ok":
        return ("",)
    return (f"{result[0]}:{key}:{result[1]}" if result[0] == "locked" else f"{result[0]}:{key}",)


def mark_paid(tables: Tables, config: Config, now: int, order: str) -> Result:
    if not ledger_orders.exists(tables, order):
        return ("missing",)
    ledger_orders.settle(tables, order)
    return ("paid",)


def unfinished(tables: Tables, config: Config, now: int, owner: str, older_than: int) -> Result:
    """Nothing is written down, so nothing is found."""
    return ()


def list_txns(tables: Tables, config: Config, now: int) -> Result:
    return ()


def txn_verdict(tables: Tables, config: Config, now: int, txn: str) -> Result:
    return ("",)


COMMANDS = {
    command.__name__: command for command in (read_order, change, mark_paid, unfinished, list_txns, txn_verdict)
}
