"""The faults injected into service processes, by owner, and their sum for each process."""

from collections.abc import Hashable, Iterable
from functools import reduce
from operator import or_

import msgspec

from protocols.service.faults import Faults


class InjectedFaults:
    """The faults of each owner, with the names of the processes that they are for. An owner has one set of faults."""

    def __init__(self) -> None:
        self._orders: dict[Hashable, tuple[Faults, frozenset[str]]] = {}

    def put(self, by: Hashable, names: Iterable[str], faults: Faults) -> frozenset[str]:
        """Set the faults of the owner `by`, in place of its former ones. Return the names of their processes."""
        self._orders[by] = faults, frozenset(names)
        return self._orders[by][1]

    def take(self, by: Hashable) -> frozenset[str]:
        """Remove the faults of the owner `by`. Return the names of their processes; empty if it had none."""
        return self._orders.pop(by, (Faults(), frozenset[str]()))[1]

    def clear(self) -> frozenset[str]:
        """Remove the faults of all owners. Return the names of their processes."""
        affected = frozenset[str]().union(*(names for _, names in self._orders.values()))
        self._orders.clear()
        return affected

    def of(self, name: str) -> Faults:
        """Return the sum of all faults for this process."""
        return reduce(or_, (faults for faults, names in self._orders.values() if name in names), Faults())

    def lasting(self, name: str) -> Faults:
        """Return the faults for its next life: without failpoints, or it would die at the same point in every life."""
        return msgspec.structs.replace(self.of(name), crash_at={})
