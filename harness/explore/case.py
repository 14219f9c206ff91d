"""A small case to search: who buys what, and what the shop has."""

from dataclasses import dataclass, replace

from protocols.core import Command


@dataclass(frozen=True, slots=True)
class Case:
    """``checkouts``: the order that each client checks out, in turn. Orders are (user, ((item, quantity), ...)).

    Every item costs 1. ``in_turn``: a client begins only when the one before it has heard something.
    """

    name: str
    checkouts: tuple[str, ...]
    orders: tuple[tuple[str, str, tuple[tuple[str, int], ...]], ...]
    stock: tuple[tuple[str, int], ...]
    credit: tuple[tuple[str, int], ...]
    in_turn: bool = False

    def setup(self, service: str) -> tuple[Command, ...]:
        """The commands that fill this service's store."""
        if service == "stock":
            return tuple(Command("create_account", (f"item:{item}", amount, 1)) for item, amount in self.stock)
        if service == "payment":
            return tuple(Command("create_account", (f"user:{user}", amount, 0)) for user, amount in self.credit)
        commands = []
        for order, user, lines in self.orders:
            commands.append(Command("create_order", (order, user)))
            commands += [Command("add_item", (order, item, quantity, quantity)) for item, quantity in lines]
        return tuple(commands)

    def charge(self, order: str) -> dict[str, int]:
        """What a checkout of ``order`` takes from each account."""
        user, lines = next((user, lines) for name, user, lines in self.orders if name == order)
        taken = {f"user:{user}": sum(quantity for _, quantity in lines)}
        for item, quantity in lines:
            taken[f"item:{item}"] = taken.get(f"item:{item}", 0) + quantity
        return taken


ONE = Case("one checkout", ("o",), (("o", "u", (("i", 2),)),), (("i", 3),), (("u", 3),))
SHORT = Case("one checkout without credit", ("o",), (("o", "u", (("i", 2),)),), (("i", 3),), (("u", 1),))
TWICE = Case("one order checked out twice", ("o", "o"), (("o", "u", (("i", 1),)),), (("i", 3),), (("u", 3),))
SHARED = Case(
    "two orders for one item and one user",
    ("o", "p"),
    (("o", "u", (("i", 2),)), ("p", "u", (("i", 2),))),
    (("i", 3),),
    (("u", 9),),
)
ONE_AFTER_ANOTHER = replace(SHARED, name="two orders, one after another", stock=(("i", 9),), in_turn=True)
CASES = (ONE, SHORT, TWICE, SHARED, ONE_AFTER_ANOTHER)
