"""Safety: the invariants of a state, whatever the protocol; its claims say which of them apply.

In every state:

- false acknowledgement   an acknowledged order is paid
- false rejection         a rejected order is not paid, unless another checkout of the same order may have paid it, which is no
                          copy of the rejected one
- conservation            no balance is negative or above its first value, and none lost more than all checkouts together take
- mutual exclusion        no key is locked by two transactions, according to the records of a protocol that has locks
- uncommitted effect      for a protocol that claims atomicity at every moment: an account lost only amounts of paid orders

In every state without an unfinished transaction:

- atomicity               for a protocol that claims atomicity, at every moment or eventually: every account lost exactly the
                          amounts of the paid orders; a reset of the account may have come after some of them
- unreleased              no account is locked, and no amount of it is reserved

Liveness, the property that every transaction ends, is judged in ``liveness.py``. The two kinds of properties are
Lamport's ("Proving the correctness of multiprocess programs", IEEE TSE 3(2), 1977); a finite path refutes only safety
(Alpern and Schneider, "Defining liveness", IPL 21(4), 1985).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from harness.explore.case import AccountSpec, SearchCase
from harness.explore.clients import ACKNOWLEDGED, REJECTED
from harness.explore.node import Tables as FrozenTables
from protocols.core import Config, Protocol

Tables = Mapping[str, Mapping[str, Any]]


class StoreView(NamedTuple):
    """The part of a node's store on which the invariants depend: few views belong to many states.

    ``tables`` are the orders and accounts of the case, ``held`` has (key, txn) for every exclusive lock.
    """

    tables: FrozenTables
    held: tuple[tuple[str, str], ...]


class Invariants:
    """The invariants of one case under one protocol and configuration."""

    def __init__(self, protocol: Protocol, config: Config, case: SearchCase) -> None:
        self._case = case
        self._atomicity = protocol.claims(config).atomicity
        self._locks: Callable[[Tables], Iterable[tuple[str, str]]] = lambda tables: protocol.locks(tables, config)
        self._charges = {order.name: order.charge() for order in case.orders}
        charges = [self._charges[order] for order in (dict.fromkeys if case.copies else list)(case.checkouts)]
        self._most = {account.key: sum(charge.get(account.key, 0) for charge in charges) for account in case.accounts}
        keys = [account.key for account in case.accounts]
        self._names = {*keys, *(f"{kind}:{key}" for kind in ("deposit", "anew") for key in keys)}
        self._names.update(f"order:{order.name}" for order in case.orders)

    def view(self, store: FrozenTables) -> StoreView:
        """Return the part of a node's store on which the invariants depend."""
        held = self._locks({name: dict(fields) for name, fields in store})
        return StoreView(tuple(table for table in store if table[0] in self._names), tuple(held))

    def violated(self, views: Sequence[StoreView], replies: Sequence[str], ended: bool) -> str:
        """Return ``INVARIANT: the violation`` for the first violated invariant, or "". ``views`` are of all nodes,
        ``replies`` of all clients.

        The order is that of the header. A later invariant is judged only where the earlier ones hold: a negative
        balance, for example, breaks atomicity as well, and the first name says more.
        """
        tables = {name: dict(fields) for view in views for name, fields in view.tables}
        violations = (*self._replies(tables, replies), *self._conservation(tables), *self._mutual_exclusion(views))
        if not violations and self._atomicity == "atomic":
            violations = tuple(self._uncommitted(tables))
        if not violations and ended and self._atomicity in ("atomic", "eventually"):
            violations = tuple(self._atomic(tables))
        if not violations and ended:
            violations = tuple(self._unreleased(tables))
        return violations[0] if violations else ""

    # ------------------------------------------------------------ one invariant each

    def _replies(self, tables: Tables, replies: Sequence[str]) -> Iterator[str]:
        for client, order in enumerate(self._case.checkouts):
            paid, reply = tables[f"order:{order}"]["paid"], replies[client]
            if reply == ACKNOWLEDGED and not paid:
                yield f"false acknowledgement: client {client} received an acknowledgement of order {order}, which is not paid"
            # With two checkouts of one order the loser's rejection is true for that checkout, and the winner has paid the order.
            if reply == REJECTED and paid and (self._case.copies or self._case.checkouts.count(order) == 1):
                yield f"false rejection: client {client} received a rejection of order {order}, which is paid"

    def _conservation(self, tables: Tables) -> Iterator[str]:
        for account in self._case.accounts:
            before, balance = funds(account, tables), tables[account.key]["balance"]
            if balance < 0 or not 0 <= before - balance <= self._most[account.key]:
                yield (
                    f"conservation: {account.key} had {before}, all checkouts together take "
                    f"{self._most[account.key]}, and it has {balance}"
                )

    def _mutual_exclusion(self, views: Iterable[StoreView]) -> Iterator[str]:
        for view in views:
            held: dict[str, str] = {}
            for key, txn in view.held:
                if held.setdefault(key, txn) != txn:
                    yield f"mutual exclusion: {key} is held by {held[key]} and by {txn}"

    def _sums(self, account: AccountSpec, paid: list[str]) -> set[int]:
        """Return the sums that subsets of the paid orders take from an account. Exponential, for at most nine orders."""
        charges = [self._charges[order].get(account.key, 0) for order in paid]
        return {sum(subset) for size in range(len(charges) + 1) for subset in combinations(charges, size)}

    def _uncommitted(self, tables: Tables) -> Iterator[str]:
        """Yield the accounts whose loss is no sum of paid orders: a commit may be on its way to some of them, and no
        other effect.
        """
        paid = self._paid(tables)
        for account in self._case.accounts:
            lost = funds(account, tables) - tables[account.key]["balance"]
            if lost not in self._sums(account, paid):
                takes = sum(self._charges[order].get(account.key, 0) for order in paid)
                yield (
                    f"uncommitted effect: {account.key} lost {lost}, and the decided transactions take {takes} "
                    f"(paid: {', '.join(paid) or 'no order'})"
                )

    def _atomic(self, tables: Tables) -> Iterator[str]:
        paid = self._paid(tables)
        for account in self._case.accounts:
            expected = funds(account, tables) - sum(self._charges[order].get(account.key, 0) for order in paid)
            balance = tables[account.key]["balance"]
            # The reset wrote the first balance over the effects of all orders paid before it, so any subset may be missing.
            if f"anew:{account.key}" in tables and funds(account, tables) - balance in self._sums(account, paid):
                continue
            if balance != expected:
                yield (
                    f"atomicity: every transaction has ended (paid: {', '.join(paid) or 'no order'}), "
                    f"so {account.key} must have {expected}, and it has {balance}"
                )

    def _unreleased(self, tables: Tables) -> Iterator[str]:
        for account in self._case.accounts:
            fields = tables[account.key]
            if fields["lock"] or fields.get("held") or fields.get("due"):
                yield (
                    f"unreleased: every transaction has ended, and {account.key} is locked or has reserved amounts: "
                    f"{dict(fields)}"
                )

    def _paid(self, tables: Tables) -> list[str]:
        return [order for order in self._charges if tables[f"order:{order}"]["paid"]]


def funds(account: AccountSpec, tables: Tables) -> int:
    """Return the first balance of an account with the deposit, if that was made."""
    return account.balance + int(tables.get(f"deposit:{account.key}", {}).get("made", 0))
