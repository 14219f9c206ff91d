"""Payments for an order that a client makes and cancels by itself: routes of the course's templates of 2021 to 2023.

The twin of ``payments.lua``, command by command. A checkout knows nothing of them: it charges what it charges, and only what
``pay_order`` took is given back by ``cancel_order``, exactly, once, and in the same command that records it. So no payment can
take a checkout apart.

- ``payments:ACCOUNT``   order -> (amount, life): the payment that stands; amount 0 once it is cancelled, life that of the account
                       when it was paid, for a payment from an account that was set anew has gone with what it was taken from
"""

from protocols.core import Config
from protocols.shop.ledger import adjust, life
from protocols.store.tables import Result, Tables


def pay_order(tables: Tables, config: Config, now: int, key: str, order: str, amount: int) -> Result:
    """Take ``amount`` for ``order``, once: as ``adjust``, or ``("other", paid)`` if another amount has been paid for it."""
    paid = _standing(tables, key, order)
    if paid:
        return ("ok", paid) if paid == amount else ("other", paid)
    result = adjust(tables, config, now, key, -amount)
    if result[0] == "ok":
        tables.setdefault(f"payments:{key}", {})[order] = (amount, life(tables, key))
    return result


def cancel_order(tables: Tables, config: Config, now: int, key: str, order: str) -> Result:
    """Give back what was paid for ``order``, once: as ``adjust``, or ``("unpaid",)`` if nothing ever was."""
    if key not in tables:
        return ("missing",)
    paid = _standing(tables, key, order)
    if paid is None:
        return ("unpaid",)
    result = adjust(tables, config, now, key, paid)
    if result[0] == "ok":
        tables[f"payments:{key}"][order] = (0, life(tables, key))
    return result


def find_payment(tables: Tables, config: Config, now: int, key: str, order: str) -> Result:
    """``("found", amount)``: what stands paid for ``order``, 0 for nothing."""
    return ("found", _standing(tables, key, order) or 0)


def _standing(tables: Tables, key: str, order: str) -> int | None:
    """The amount of the payment, 0 if it is cancelled, None if this life of the account has never paid."""
    amount, lived = tables.get(f"payments:{key}", {}).get(order, (None, None))
    return amount if lived == life(tables, key) else None


COMMANDS = {command.__name__: command for command in (pay_order, cancel_order, find_payment)}
