"""Payments for an order that a client makes and cancels by itself: routes of the course's templates of 2021 to 2023.

The twin of ``payments.lua``, command by command. A checkout is independent of them: ``cancel_order`` returns exactly the amount
that ``pay_order`` took, once, in the command that records it. So no payment can undo a part of a checkout.

- ``payments:ACCOUNT``   order -> (amount, life): the payment for the order. The amount is 0 after its cancellation. The life is
                       that of the account at the payment: when the account is created anew, its payments end with its balance
"""

from protocols.core import Config
from protocols.shop.ledger import adjust, life
from protocols.store.tables import Result, Tables


def pay_order(tables: Tables, config: Config, now: int, key: str, order: str, amount: int) -> Result:
    """Take ``amount`` for ``order``, once: as ``adjust``, or ``("other", paid)`` after a payment of another amount."""
    paid = _payment(tables, key, order)
    if paid:
        return ("ok", paid) if paid == amount else ("other", paid)
    result = adjust(tables, config, now, key, -amount)
    if result[0] == "ok":
        tables.setdefault(f"payments:{key}", {})[order] = (amount, life(tables, key))
    return result


def cancel_order(tables: Tables, config: Config, now: int, key: str, order: str) -> Result:
    """Return the payment for ``order`` to the account, once: as ``adjust``, or ``("unpaid",)`` without a payment."""
    if key not in tables:
        return ("missing",)
    paid = _payment(tables, key, order)
    if paid is None:
        return ("unpaid",)
    result = adjust(tables, config, now, key, paid)
    if result[0] == "ok":
        tables[f"payments:{key}"][order] = (0, life(tables, key))
    return result


def find_payment(tables: Tables, config: Config, now: int, key: str, order: str) -> Result:
    """Return ``("found", amount)``, the payment for ``order``; 0 for none."""
    return ("found", _payment(tables, key, order) or 0)


def _payment(tables: Tables, key: str, order: str) -> int | None:
    """Return the amount of the payment, 0 after its cancellation, None without one in this life of the account."""
    amount, paid_in = tables.get(f"payments:{key}", {}).get(order, (None, None))
    return amount if paid_in == life(tables, key) else None


COMMANDS = {command.__name__: command for command in (pay_order, cancel_order, find_payment)}
