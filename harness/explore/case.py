"""A small case to search: the orders, the accounts, and the concurrent checkouts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from protocols.core import Command

STOCK, PAYMENT = "stock", "payment"
Change = tuple[str, int]
Branches = tuple[tuple[str, int, tuple[Change, ...]], ...]


@dataclass(frozen=True, slots=True)
class OrderSpec:
    """An order of one user. The shop plans its branches, unless ``branches`` gives them for participants of other
    services.

    ``renewed``: an operation removes the order and creates another one of the same number, once, at any time; such an
    order has two pieces of one item.
    """

    name: str
    user: str
    lines: tuple[tuple[str, int], ...]
    branches: Branches = ()
    renewed: bool = False

    def setup(self) -> tuple[Command, ...]:
        """The commands that create the order."""
        lines = (Command("add_item", (self.name, item, quantity, 1)) for item, quantity in self.lines)
        given = (Command("add_branch", (self.name, *branch)) for branch in self.branches)
        return (Command("create_order", (self.name, self.user)), *lines, *given)

    def renewal(self) -> tuple[Command, ...]:
        """Return the commands that remove the order and create another one of its number."""
        ((item, _),) = self.lines
        return Command("remove_order", (self.name,)), Command(
            "init_orders", (int(self.name), 1, ((self.user, item, item),))
        )

    def charge(self) -> dict[str, int]:
        """Return the amount that a checkout takes from each account, by the account's key."""
        if self.branches:
            return {key: -delta for _, _, changes in self.branches for key, delta in changes}
        taken = {f"user:{self.user}": sum(quantity for _, quantity in self.lines)}
        for item, quantity in self.lines:
            taken[f"item:{item}"] = taken.get(f"item:{item}", 0) + quantity
        return taken


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """An account and its first balance. ``deposit``: an amount added once, at any time; ``anew``: set anew once, at
    any time.
    """

    service: str
    key: str
    balance: int
    price: int = 0
    deposit: int = 0
    anew: bool = False


@dataclass(frozen=True, slots=True)
class SearchCase:
    """A case: accounts, orders, and ``checkouts``, the order that each client checks out. Every item costs 1.

    ``sequential``: a client begins once the client before it has a reply. ``second_instance``: the coordinator's
    service has a second instance on the same store, which recovers transactions that the first one still runs.
    ``late_commands``: a connection to a store may break, so that the store may execute every command once more, at
    any later time, with a reply that is lost. ``copies``: the checkouts are copies of one request. Here one instance
    runs them at the same time, as two instances do.
    """

    name: str
    checkouts: tuple[str, ...]
    orders: tuple[OrderSpec, ...]
    accounts: tuple[AccountSpec, ...]
    sequential: bool = False
    second_instance: bool = False
    late_commands: bool = False
    copies: bool = False

    @property
    def services(self) -> tuple[str, ...]:
        """The names of the participants' services, each once."""
        return tuple(dict.fromkeys(account.service for account in self.accounts))

    def setup(self, keeps: Callable[[str], bool], *, orders: bool) -> tuple[Command, ...]:
        """Return the commands that fill a store: the accounts of the services that it ``keeps``, and the ``orders``."""
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
    """Return the cases with so many concurrent checkouts, 1 to 9; by default the cases with one and the cases with two.

    The cases with one checkout follow once more with a second instance of the coordinator's service. Last come a case
    with enough credit only after the rejection, a case whose first account is set anew, and, for the shop's own two
    services, a case whose order is removed and created again. The last one has two copies of a checkout.
    """
    numbers = (1, 2) if transactions is None else (transactions,)
    concurrent = tuple(case for number in numbers for case in _cases(participants, number))
    single = (case for case in concurrent if len(case.checkouts) == 1)
    with_second_instance = (replace(case, name=f"{case.name}, two instances", second_instance=True) for case in single)
    return (*concurrent, *with_second_instance, *(_changed(participants) if 1 in numbers else ()))


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
    # Scarce at the first service only: the checkouts compete there, and the loser's branches elsewhere have to be undone.
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
    """Yield the cases in which an account or the order changes during the checkout."""
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
    yield replace(
        late_commands,
        name="copies of a checkout, then enough credit",
        checkouts=("o", "o"),
        late_commands=False,
        copies=True,
    )


def _late(participants: int) -> SearchCase:
    accounts = _accounts([*[3] * (participants - 1), 1])
    accounts = (*accounts[:-1], replace(accounts[-1], deposit=1))
    order = _order("o", participants, 2)
    return SearchCase("one checkout, then enough credit, late commands", ("o",), (order,), accounts, late_commands=True)


def _anew(participants: int) -> SearchCase:
    first, *others = _accounts([*[3] * (participants - 1), 1])
    first = replace(first, key="item:0", anew=True)  # `batch_init` sets accounts by number
    given = tuple((account.service, 0, ((account.key, -2),)) for account in (first, *others))
    order = OrderSpec("o", "u", (("0", 2),)) if participants == 2 else OrderSpec("o", "u", (), given)
    return SearchCase("one checkout without credit, set anew", ("o",), (order,), (first, *others))


def _order(name: str, participants: int, amount: int) -> OrderSpec:
    """Return an order that the shop plans itself for its own two services; for any other number, one that names its
    branches.
    """
    if participants == 2:
        return OrderSpec(name, "u", (("i", amount),))
    branches = tuple((account.service, 0, ((account.key, -amount),)) for account in _accounts([0] * participants))
    return OrderSpec(name, "u", (), branches)


def _accounts(balances: Sequence[int]) -> tuple[AccountSpec, ...]:
    """Return one account for each participant: an item, a user, and accounts of services that the shop does not have."""
    kinds = [(STOCK, "item:i", 1), (PAYMENT, "user:u", 0)]
    kinds += [(f"service-{number}", f"account:{number}", 0) for number in range(3, len(balances) + 1)]
    return tuple(
        AccountSpec(service, key, balance, price)
        for (service, key, price), balance in zip(kinds, balances, strict=False)
    )


CASES = cases()

_BY_NAME = {case.name: case for case in CASES}
ONE = _BY_NAME["one checkout"]
SHORT = _BY_NAME["one checkout without credit"]
TWICE = _BY_NAME["one order checked out twice"]
SHARED = _BY_NAME["two orders for one item and one user"]
ONE_AFTER_ANOTHER = _BY_NAME["two orders, one after another"]
TWO_INSTANCES = _BY_NAME["one checkout, two instances"]
SHORT_TWO_INSTANCES = _BY_NAME["one checkout without credit, two instances"]
LATE = _BY_NAME["one checkout, then enough credit, late commands"]
ANEW = _BY_NAME["one checkout without credit, set anew"]
RENEWED = _BY_NAME["one checkout, then enough credit, an order made anew"]
COPIES = _BY_NAME["copies of a checkout, then enough credit"]
