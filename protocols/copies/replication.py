"""The values of `--copies`: who chooses the primary of a store, and the promise of the store.

One client stands before all of them (`protocols.service.copies.client`): it uses the results of a bundle once a replica has it.
What differs is the election. Only our elector revokes the former primary before it compares the copies; Sentinel and Valkey
Cluster choose by the offset that a replica reports, so a write that `WAIT` has confirmed may be on none of the copies that
remain. With those, durability is a best effort, and no claim of a protocol that rests on it binds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from protocols.copies import COPIES
from protocols.errors import UsageError

CopiesValue = Literal[1, 3, "sentinel", "cluster"]

BEST_EFFORT = "best-effort"
"""The durability claim of a store whose failover may lose what was acknowledged."""

_BEST_EFFORT_PROMISE = (
    "best effort: an acknowledged write was in two of the three servers of its store, and {chooser} may still choose the third; "
    "durability of acknowledged writes over a failover is not claimed, nor what rests on it"
)


@dataclass(frozen=True, slots=True)
class Replication:
    """One value of `--copies`. `servers`: of each store; `summary`: for help; `promise`: for reports, "" for a single server."""

    servers: int
    summary: str
    promise: str = ""
    best_effort: bool = False


REPLICATIONS: Mapping[CopiesValue, Replication] = {
    1: Replication(1, "one server"),
    3: Replication(
        COPIES,
        "three servers and our elector",
        "each acknowledged write was in two of the 3 servers of its store: the death of any one loses nothing; "
        "a power cut of two at once is as above",
    ),
    "sentinel": Replication(
        COPIES, "three servers and Valkey Sentinel", _BEST_EFFORT_PROMISE.format(chooser="Sentinel"), best_effort=True
    ),
    "cluster": Replication(
        COPIES,
        "three servers a slot range of a Valkey Cluster",
        _BEST_EFFORT_PROMISE.format(chooser="Valkey Cluster"),
        best_effort=True,
    ),
}
ELECTED: CopiesValue = 3
"""The value with our elector."""

CHOICES = tuple(map(str, REPLICATIONS))
NAMES = ", ".join(CHOICES)


def parse(value: object) -> CopiesValue:
    """Return the value of `--copies` that `value`, a number or a text, stands for. Raises `UsageError` naming the values."""
    for known in REPLICATIONS:
        if type(value) in (int, str) and str(value) == str(known):
            return known
    raise UsageError(f"copies={value!r} is not one of: {NAMES}; a majority of {COPIES} goes on when one is gone")


def replication(value: object) -> Replication:
    """Return the row of a value of `--copies`. Raises as `parse`."""
    return REPLICATIONS[parse(value)]
