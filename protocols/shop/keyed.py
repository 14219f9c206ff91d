"""Requests with an idempotency key as pure functions. The twin of ``keyed.lua``, command by command.

A gateway repeats a request whose connection broke, perhaps while the first copy of it is still under way. Two rules make all
copies one request:

1. The result of a change is stored under the request's key in the same atomic command as its effect. Another copy of the request
   receives that result, and changes nothing.
2. A rejection is final for its key. It may be answered only once it is stored, for the client relies on it: a copy that is late
   would otherwise still have its effect. So a checkout with a key begins only if no rejection is stored under it, and it is
   rejected only while no other transaction of the order is undecided: that one may be a copy's.
"""

from collections.abc import Callable

from protocols.claims import Safeguard
from protocols.core import Config
from protocols.shop import ledger, ledger_orders, payments
from protocols.store.keys import Remembered, recall_key, remember_key
from protocols.store.tables import Result, Tables

CHANGES: dict[str, Callable[..., Result]] = {**ledger.COMMANDS, **ledger_orders.COMMANDS, **payments.COMMANDS}

CREATING = frozenset({"create_account", "create_order", "add_item", "add_branch", "init_accounts", "init_orders"})
"""The changes that create data: those that the library registers with `creating_command`."""

SAFEGUARDS = (
    Safeguard(
        "remember-key",
        "the result of a request with a key is stored with its effect",
        "a repeated request has its effect twice",
        searched=False,
    ),
    Safeguard(
        "recall-rejection",
        "a copy of a rejected checkout begins no transaction",
        "a late copy pays an order after its rejection",
        simulated=False,
    ),
)
"""The safeguards that every protocol has beside its own."""

REJECT_DECIDED = Safeguard(
    "reject-decided",
    "a checkout is rejected once no other transaction of its order is undecided",
    "a copy that is under way pays an order after its rejection",
    simulated=False,
)
"""The safeguard of protocols whose orders may have an undecided transaction."""


def keyed(
    tables: Tables, config: Config, now: int, key: str, kept: int, request: str, name: str, *args: object
) -> Result:
    """Execute the change ``name`` under a key: ``("done", subject, result)``, of the first copy for every later one.

    ``("other",)`` if the key belongs to another request. A result ``locked`` is not stored: the caller repeats the command, or
    ends the wait with ``conclude``.
    """
    known = recall_key(tables, key) if config.enabled("remember-key") else None
    if known is not None:
        return ("done", known.subject, known.result) if known.request == request else ("other",)
    result = CHANGES[name](tables, config, now, *args)
    if result[0] != "locked":
        remember_key(tables, key, kept, Remembered(request, str(args[0]), result))
    return ("done", str(args[0]), result)


def conclude(
    tables: Tables, config: Config, now: int, key: str, kept: int, request: str, subject: str, *result: object
) -> Result:
    """Store a result that no command had, as the final one of a key. Results as of ``keyed``."""
    known = recall_key(tables, key)
    if known is not None:
        return ("done", known.subject, known.result) if known.request == request else ("other",)
    remember_key(tables, key, kept, Remembered(request, subject, result))
    return ("done", subject, result)


def reject_checkout(
    tables: Tables, config: Config, now: int, key: str, kept: int, request: str, order: str, txn: str, why: str
) -> Result:
    """Store the rejection of a checkout, the last attempt of which was ``txn`` ("": none): ``("no", why)``.

    ``("paid",)`` or ``("busy", holder)`` if a copy of the request, or another one, has paid the order or may still do so;
    ``("other",)`` as of ``keyed``. An earlier rejection under this key stays.
    """
    state, _, holder = ledger_orders.plan(tables, order)
    if state == "paid":
        return ("paid",)
    if holder not in ("", txn) and config.enabled("reject-decided"):
        return ("busy", holder)
    done = conclude(tables, config, now, key, kept, request, order, "no", why)
    return done if done[0] == "other" else done[2]


COMMANDS = {command.__name__: command for command in (keyed, conclude, reject_checkout)} | {"keyed_creation": keyed}
"""``keyed_creation`` is ``keyed`` for `CREATING`: a full store rejects it before its first effect, and executes ``keyed``."""
