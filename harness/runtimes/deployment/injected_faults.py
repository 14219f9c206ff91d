"""Who wants which services to misbehave, and what that comes to for each: the bookkeeping behind `Insides`."""

from collections.abc import Hashable, Iterable
from functools import reduce
from operator import or_

import msgspec

from protocols.service.faults import Faults


class InjectedFaults:
    """Orders by who gave them."""

    def __init__(self) -> None:
        self._orders: dict[Hashable, tuple[Faults, frozenset[str]]] = {}

    def put(self, by: Hashable, names: Iterable[str], faults: Faults) -> frozenset[str]:
        """Returns whom it concerns."""
        self._orders[by] = faults, frozenset(names)
        return self._orders[by][1]

    def take(self, by: Hashable) -> frozenset[str]:
        """Take back what `by` ordered. Returns whom it concerned."""
        return self._orders.pop(by, (Faults(), frozenset[str]()))[1]

    def clear(self) -> frozenset[str]:
        """Take back everything. Returns whom it concerned."""
        meant = frozenset[str]().union(*(names for _, names in self._orders.values()))
        self._orders.clear()
        return meant

    def of(self, name: str) -> Faults:
        """All that this service process is to do wrong."""
        return reduce(or_, (faults for faults, names in self._orders.values() if name in names), Faults())

    def lasting(self, name: str) -> Faults:
        """The same for its next life: a failpoint at which it died is not armed again."""
        return msgspec.structs.replace(self.of(name), crash_at={})
