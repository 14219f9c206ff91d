"""A small case to search: who buys what, and what the shop has."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from protocols.core import Command

STOCK, PAYMENT = "stock", "payment"
Change = tuple[str, int]
Branches = tuple[tuple[str, int, tuple[Change, ...]], ...]


@dataclass(frozen=True, slots=True)
class OrderSpec:
    """What one user buys. ``branches`` are given if this shop's services are not the participants, else it plans them.

    ``renewed``: somebody removes it and makes another one of the same number, once, at any time; it is of two pieces of one item.
    """

    name: str
    user: str
    lines: tuple[tuple[str, int], ...]
    branches: Branches = ()
    renewed: bool = False

    def setup(self) -> tuple[Command, ...]:
        lines = (Command("add_item", (self.name, item, quantity, 1)) for item, quantity in self.lines)
        given = (Command("add_branch", (self.name, *branch)) for branch in self.branches)
        return (Command("create_order", (self.name, self.user)), *lines, *given)

    def renewal(self) -> tuple[Command, ...]:
        """The commands by which somebody removes it and makes another one of its number."""
        ((item, _),) = self.lines
        return Command("remove_order", (self.name,)), Command(
            "init_orders", (int(self.name), 1, ((self.user, item, item),))
        )

    def charge(self) -> dict[str, int]:
        """What a checkout takes from each account."""
        if self.branches:
            return {key: -delta for _, _, changes in self.branches for key, delta in changes}
        taken = {f"user:{self.user}": sum(quantity for _, quantity in self.lines)}
        for item, quantity in self.lines:
            taken[f"item:{item}"] = taken.get(f"item:{item}", 0) + quantity
        return taken


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """``deposit``: what somebody adds to it, once, at any time. ``anew``: somebody sets it anew, likewise."""

    service: str
    key: str
    balance: int
    price: int = 0
    deposit: int = 0
    anew: bool = False


@dataclass(frozen=True, slots=True)
class SearchCase:
    """``checkouts``: the order that each client checks out, in turn. Every item costs 1.

    ``in_turn``: a client begins only when the one before it has heard something. ``rival``: the coordinator's service has a
    second instance on the same store, which takes up what the first is still at. ``late``: a connection to a store may break, so
    that every command ever asked for may be carried out once more, at any later time, without anybody who hears the answer.
    """

    name: str
    checkouts: tuple[str, ...]
    orders: tuple[OrderSpec, ...]
    accounts: tuple[AccountSpec, ...]
    sequential: bool = False
    second_instance: bool = False
    late_commands: bool = False

    @property
    def services(self) -> tuple[str, ...]:
        """The participants, each named once."""
        return tuple(dict.fromkeys(account.service for account in self.accounts))

    def setup(self, keeps: Callable[[str], bool], *, orders: bool) -> tuple[Command, ...]:
        """The commands that fill a store: the accounts of the services that it ``keeps``, and the ``orders``."""
        accounts = (
            Command("create_account", (account.key, account.balance, account.price))
            for account in self.accounts
            if keeps(account.service)
        )
        return (*accounts, *(command for order in self.orders for command in order.setup() if orders))


# ---------------------------------------------------------------- the cases, for any number of participants and clients

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MOST = len(NUMBERS) - 1


def cases(participants: int = 2, transactions: int | None = None) -> tuple[SearchCase, ...]:
    """The cases with so many concurrent checkouts, 1 to 9; by default those with one and those with two.

    Those with one come once more at the end, beside a second instance; and one in which what was refused could be paid later,
    one in which the first account is set anew, and, for this shop's own two services, one in which the order is removed and made
    anew.
    """
    numbers = (1, 2) if transactions is None else (transactions,)
    found = tuple(case for number in numbers for case in _cases(participants, number))
    alone = (case for case in found if len(case.checkouts) == 1)
    rivals = (replace(case, name=f"{case.name}, two instances", second_instance=True) for case in alone)
    return (*found, *rivals, *(_changed(participants) if 1 in numbers else ()))


def _cases(participants: int, number: int) -> tuple[SearchCase, ...]:
    if number == 1:
        order = _order("o", participants, 2)
        short = (*[3] * (participants - 1), 1)
        return (
            SearchCase("one checkout", ("o",), (order,), _accounts([3] * participants)),
            SearchCase("one checkout without credit", ("o",), (order,), _accounts(short)),
        )
    names = "opqrstuvw"[:number]
    many = NUMBERS[number]
    orders = tuple(_order(name, participants, 2) for name in names)
    # The first service has enough for all but one of them, the others for everybody.
    scarce = _accounts([2 * number - 1, *[9 * number] * (participants - 1)])
    twice = "twice" if number == 2 else f"{many} times"
    return (
        SearchCase(
            f"one order checked out {twice}",
            ("o",) * number,
            (_order("o", participants, 1),),
            _accounts([number + 1] * participants),
        ),
        SearchCase(f"{many} orders for one item and one user", tuple(names), orders, scarce),
        SearchCase(
            f"{many} orders, one after another",
            tuple(names),
            orders,
            _accounts([9 * number] * participants),
            sequential=True,
        ),
    )


def _changed(participants: int) -> Iterator[SearchCase]:
    """Those in which somebody changes something meanwhile."""
    late_commands = _late(participants)
    yield late_commands
    yield _anew(participants)
    if participants == len((STOCK, PAYMENT)):
        order = OrderSpec("0", "u", (("i", 2),), renewed=True)
        yield replace(
            late_commands,
            name="one checkout, then enough credit, an order made anew",
            checkouts=("0",),
            orders=(order,),
        )


def _late(participants: int) -> SearchCase:
    accounts = _accounts([*[3] * (participants - 1), 1])
    accounts = (*accounts[:-1], replace(accounts[-1], deposit=1))
    order = _order("o", participants, 2)
    return SearchCase("one checkout, then enough credit, late commands", ("o",), (order,), accounts, late_commands=True)


def _anew(participants: int) -> SearchCase:
    first, *others = _accounts([*[3] * (participants - 1), 1])
    first = replace(first, key="item:0", anew=True)  # accounts that are set anew have numbers
    given = tuple((one.service, 0, ((one.key, -2),)) for one in (first, *others))
    order = OrderSpec("o", "u", (("0", 2),)) if participants == 2 else OrderSpec("o", "u", (), given)
    return SearchCase("one checkout without credit, set anew", ("o",), (order,), (first, *others))


def _order(name: str, participants: int, amount: int) -> OrderSpec:
    """The shop's own order for its own two services; for any other number, one that names its branches."""
    if participants == 2:
        return OrderSpec(name, "u", (("i", amount),))
    branches = tuple((one.service, 0, ((one.key, -amount),)) for one in _accounts([0] * participants))
    return OrderSpec(name, "u", (), branches)


def _accounts(balances: Sequence[int]) -> tuple[AccountSpec, ...]:
    """One account a participant: of an item, of a user, and of services that this shop has not."""
    kept = [(STOCK, "item:i", 1), (PAYMENT, "user:u", 0)]
    kept += [(f"service-{number}", f"account:{number}", 0) for number in range(3, len(balances) + 1)]
    return tuple(AccountSpec(*one[:2], balance, one[2]) for one, balance in zip(kept, balances, strict=False))


ONE, SHORT, TWICE, SHARED, ONE_AFTER_ANOTHER, TWO_INSTANCES, SHORT_TWO_INSTANCES, LATE, ANEW, RENEWED = CASES = cases()
