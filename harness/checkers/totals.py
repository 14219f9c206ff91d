"""What an order can cost: each piece at a price that its item may have had when it was put in."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

MOST_STATES = 1 << 11
"""Up to so many (quantity, cost) pairs of one item, and costs of all items, are judged exactly; beyond, by bounds."""


class Line(NamedTuple):
    """A quantity of one item that may be in the order, at one of these prices."""

    quantity: int
    prices: frozenset[int]


def possible_total(items: Mapping[str, int], lines: Mapping[str, Sequence[Line] | None], total: int) -> int | None:
    """The possible cost of so many pieces of each item that is nearest to `total`; None if it cannot be known."""
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
            costs = {cost + each for cost in costs for each in options}
    if exact:
        return min(costs, key=lambda cost: abs(cost - total))
    return max(low, min(total, high))


def _costs(lines: Sequence[Line], quantity: int) -> set[int] | None:
    """What `quantity` pieces made up of some of these lines can cost; None if there are too many ways, or none."""
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
