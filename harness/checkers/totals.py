"""The possible cost of an order: each piece at a price that its item may have had at the time of its addition."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

MOST_STATES = 1 << 11
"""The largest number of (quantity, cost) pairs of one item, and of costs of all items, for an exact judgement."""


class Line(NamedTuple):
    """A quantity of one item that may be in the order, at one of these prices."""

    quantity: int
    prices: frozenset[int]


def possible_total(items: Mapping[str, int], lines: Mapping[str, Sequence[Line] | None], total: int) -> int | None:
    """Return the possible cost of these quantities that is nearest to `total`; None if a price is unknown.

    Beyond `MOST_STATES` only the bounds of the cost are known, and every total within them counts as possible.
    """
    costs = {0}
    low = high = 0
    exact = True
    for item, quantity in items.items():
        added = lines[item]
        if added is None:
            return None
        prices = frozenset().union(*(line.prices for line in added))
        low, high = low + quantity * min(prices), high + quantity * max(prices)
        options = {quantity * min(prices)} if len(prices) == 1 else _costs(added, quantity)
        exact = exact and options is not None and len(costs) * len(options) <= MOST_STATES
        if exact and options:
            costs = {cost + option for cost in costs for option in options}
    if exact:
        return min(costs, key=lambda cost: abs(cost - total))
    return max(low, min(total, high))


def _costs(lines: Sequence[Line], quantity: int) -> set[int] | None:
    """Return the possible costs of `quantity` pieces from some of these lines; None if there are too many, or none."""
    states = {(0, 0)}
    for line in lines:
        states |= {
            (count + line.quantity, cost + line.quantity * price)
            for count, cost in states
            for price in line.prices
            if count + line.quantity <= quantity
        }
        if len(states) > MOST_STATES:
            return None
    return {cost for count, cost in states if count == quantity} or None
