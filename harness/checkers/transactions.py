"""The input of the isolation checker: transactions that add elements to sets and read sets.

The workload makes each element unique, so that a read shows exactly which writes it includes, the property that Elle
calls recoverability (Kingsbury and Alvaro, VLDB 2020). An element is a power of two, a state of a key is the sum
of the elements in it: a Python int as a bit mask.
"""

from typing import Literal, NamedTuple

import msgspec

Status = Literal["committed", "aborted", "unknown"]
NO_SESSION = -1


class Txn(msgspec.Struct, frozen=True, gc=False):
    """One transaction; its reads come before its adds.

    `adds` are (key, element), each element once per key in the whole history; `reads` are (key, state). `process` is
    `NO_SESSION` for a transaction outside every client's order. `completed_ns` is None without an acknowledged end.
    The reads of an unknown or aborted transaction are ignored.
    """

    id: int
    process: int
    invoked_ns: int
    completed_ns: int | None
    status: Status
    adds: tuple[tuple[str, int], ...] = ()
    reads: tuple[tuple[str, int], ...] = ()


class Anomaly(NamedTuple):
    """One anomaly: the transactions in it (positions in the list that was judged) and the keys.

    For a cycle, transaction i leads to i+1 and the last to the first by a dependency of kind `kinds[i]`.
    For the others, see the function in `versions` that finds it.
    """

    name: str
    txns: tuple[int, ...]
    keys: tuple[str, ...] = ()
    kinds: tuple[int, ...] = ()
