"""The faults that the shops of this folder can be started with, and the counters that make them strike at a fixed rate."""

import threading
from collections import Counter
from collections.abc import Iterable

FAULTS = {
    "lost-update": "Changes of one stock or credit at the same time overwrite each other: the balance does not add up.",
    "oversell": "Checkouts at the same time sell more of an item than there was.",
    "charge-without-paid": "Some checkouts take stock and credit and answer 200, and the order stays unpaid.",
    "paid-without-charge": "Some checkouts take the stock and mark the order paid, and take no credit.",
    "not-idempotent": "A second checkout of a paid order takes stock and credit again.",
    "error-as-success": (
        "Some checkouts answer 200 although payment answered 502 and charged nothing: a false acknowledgement."
        " Others answer 502 although they happened: an unknown outcome, and no violation."
    ),
    "lock-outlives-holder": (
        "Some failed checkouts, and each one cut off by a kill, leave their locks for ever:"
        " no later checkout that needs such a lock ends with success."
    ),
    "lost-compensation": "Some checkouts without enough credit answer 4xx and keep the stock that they took.",
    "rejected-but-happened": "Some checkouts answer 400 although they happened: a false rejection.",
    "dirty-read": "A read shows stock that a checkout has taken and gives back when it fails.",
    "wrong-answer": "Some reads get the answer to another read.",
    "never-retried": "An order whose checkout failed once is refused for ever, with enough stock and credit.",
    "no-persistence": "Nothing survives a kill: acknowledged writes are lost.",
    "negative-balance": "Payments, subtractions and checkouts take stock and credit below zero.",
    "ids-reused": "After a restart new orders, users and items take the ids of old ones.",
    "in-doubt-leak": (
        "Some checkouts stay unfinished for ever: the stock is taken or held, the credit is not taken,"
        " the order is neither paid nor free, and the answer is a 504 or a 202."
    ),
}
"""The name of each fault, and the finding that a judge must have about a shop with it."""

SUPPORTED = {
    "flask": frozenset(FAULTS),
    "asyncio": frozenset(FAULTS),
    "node": frozenset(FAULTS),
}
"""The faults that each shop knows."""

EVERY = 5
"""Of so many checkouts that a fault of `some` concerns, it strikes one."""


class Faults:
    """The faults that are switched on in one process of a shop.

    `name in faults` says whether a fault is on. `faults.strikes(name)` counts its call, and returns `True` for each `EVERY`th.
    """

    def __init__(self, names: Iterable[str], supported: frozenset[str]) -> None:
        self._on = frozenset(name for name in names if name)
        self._calls: Counter[str] = Counter()
        self._lock = threading.Lock()
        if unknown := self._on - supported:
            raise SystemExit(
                f"no such fault in this shop: {', '.join(sorted(unknown))}; one of {', '.join(sorted(supported))}"
            )

    def __contains__(self, name: str) -> bool:
        return name in self._on

    def strikes(self, name: str, every: int = EVERY) -> bool:
        if name not in self._on:
            return False
        with self._lock:
            self._calls[name] += 1
            return self._calls[name] % every == 0
