"""What must hold in a state, whatever the protocol: what is asserted follows from its claims.

In every state:

- told yes        a client was told yes only if its order is paid
- told no         a client was told no only if its order is not paid, unless somebody else checks it out as well
- conservation    no account has less than nothing, more than it had, or lost more than all checkouts together take
- locks           no key is held by two transactions, according to the records of a protocol that has locks
- undecided       for a protocol that claims to be atomic: no account lost anything but what paid orders take from it

Once everything has ended:

- atomicity       for a protocol that claims to be atomic, at once or eventually: every account lost what the paid orders take;
                  one that was set anew may have been so after some of them
- left over       no account is locked, and nothing of it is set aside

That from every state it does end is ``ending.py``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from harness.explore.case import AccountSpec, SearchCase
from harness.explore.space import Clients
from protocols.core import Config, Protocol

Tables = Mapping[str, Mapping[str, Any]]


class Invariants:
    """What one protocol, so configured, promises in one case."""

    def __init__(self, protocol: Protocol, config: Config, case: SearchCase) -> None:
        self._case = case
        self._atomicity = protocol.claims(config).atomicity
        self._locks: Callable[[Tables], Iterable[tuple[str, str]]] = lambda tables: protocol.locks(tables, config)
        self._charges = {order.name: order.charge() for order in case.orders}
        everything = [self._charges[order] for order in case.checkouts]
        self._most = {account.key: sum(taken.get(account.key, 0) for taken in everything) for account in case.accounts}

    def violated(self, stores: Sequence[Tables], clients: Clients, ended: bool) -> str:
        """``PROMISE: how it is broken`` for the first that is, or nothing. ``stores`` are all nodes' tables."""
        tables = {name: fields for store in stores for name, fields in store.items()}
        found = (*self._replies(tables, clients), *self._conservation(tables), *self._exclusive(stores))
        if not found and self._atomicity == "atomic":
            found = tuple(self._decided(tables))
        if not found and ended and self._atomicity in ("atomic", "eventually"):
            found = tuple(self._atomic(tables))
        if not found and ended:
            found = tuple(self._left_over(tables))
        return found[0] if found else ""

    # ------------------------------------------------------------ one promise each

    def _replies(self, tables: Tables, clients: Clients) -> Iterator[str]:
        for client, order in enumerate(self._case.checkouts):
            paid, replies = tables[f"order:{order}"]["paid"], clients.replies[client]
            if replies == "yes" and not paid:
                yield f"false acknowledgement: client {client} was told that order {order} is paid, and it is not"
            # Somebody else's checkout of the same order may have paid it.
            if replies == "no" and paid and self._case.checkouts.count(order) == 1:
                yield f"false rejection: client {client} was told that order {order} is not paid, and it is"

    def _conservation(self, tables: Tables) -> Iterator[str]:
        for account in self._case.accounts:
            before, balance = had(account, tables), tables[account.key]["balance"]
            if balance < 0 or not 0 <= before - balance <= self._most[account.key]:
                yield (
                    f"conservation: {account.key} had {before}, all checkouts together take "
                    f"{self._most[account.key]}, and it has {balance}"
                )

    def _exclusive(self, stores: Iterable[Tables]) -> Iterator[str]:
        for store in stores:
            held: dict[str, str] = {}
            for key, txn in self._locks(store):
                if held.setdefault(key, txn) != txn:
                    yield f"mutual exclusion: {key} is held by {held[key]} and by {txn}"

    def _sums(self, account: AccountSpec, paid: list[str]) -> set[int]:
        """What some of the paid orders may take from it together."""
        charges = [self._charges[order].get(account.key, 0) for order in paid]
        return {sum(some) for size in range(len(charges) + 1) for some in combinations(charges, size)}

    def _decided(self, tables: Tables) -> Iterator[str]:
        """A commit may still be on its way to some of the accounts, but nothing else may have happened to them."""
        paid = self._paid(tables)
        for account in self._case.accounts:
            lost = had(account, tables) - tables[account.key]["balance"]
            if lost not in self._sums(account, paid):
                takes = sum(self._charges[order].get(account.key, 0) for order in paid)
                yield (
                    f"uncommitted effect: {account.key} lost {lost}, and what is decided takes {takes} "
                    f"(paid: {', '.join(paid) or 'no order'})"
                )

    def _atomic(self, tables: Tables) -> Iterator[str]:
        paid = self._paid(tables)
        for account in self._case.accounts:
            expected = had(account, tables) - sum(self._charges[order].get(account.key, 0) for order in paid)
            balance = tables[account.key]["balance"]
            if f"anew:{account.key}" in tables and had(account, tables) - balance in self._sums(account, paid):
                continue
            if balance != expected:
                yield (
                    f"atomicity: everything has ended (paid: {', '.join(paid) or 'no order'}), "
                    f"so {account.key} must have {expected}, and it has {balance}"
                )

    def _left_over(self, tables: Tables) -> Iterator[str]:
        for account in self._case.accounts:
            fields = tables[account.key]
            if fields["lock"] or fields.get("held") or fields.get("due"):
                yield f"unreleased: everything has ended, and of {account.key} something is locked or set aside: {dict(fields)}"

    def _paid(self, tables: Tables) -> list[str]:
        return [order for order in self._charges if tables[f"order:{order}"]["paid"]]


def had(account: AccountSpec, tables: Tables) -> int:
    """What an account had before anybody checked out, with what was added to it since."""
    return account.balance + int(tables.get(f"deposit:{account.key}", {}).get("made", 0))
