"""The probes of a run: reads of the unfinished transactions inside the shop, recorded as events of the history."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

from harness.errors import EnvironmentFailure
from harness.history.recorder import Recorder
from harness.runtimes.environment import ListUnfinished
from protocols.core import Protocol, StateKind

NAMED_PER_PROBE = 20
"""The most unfinished transactions that a probe names."""

COORDINATOR = "order"
"""The service whose rows name the order of a transaction as their subject."""

Row = dict[str, Any]


def count(rows: Iterable[Row], protocol: Protocol) -> dict[str, int]:
    """Count the listed transactions by kind, for a probe. Raises `UsageError` naming a state without a kind."""
    kinds = Counter(kind for row in rows for kind in protocol.kinds_of(row["state"]))
    return {kind.value: kinds[kind] for kind in StateKind}


class Prober:
    """The probes of one run, with the time since which each transaction is unfinished.

    After the heal a transaction is *overdue* once it was unfinished for `bound_s` seconds, counted from the heal, or from the
    first probe that lists it or an earlier attempt at its order, if that is later: a request that waited in a queue until the
    heal begins its transaction after it. Without a bound every unfinished transaction is overdue.
    """

    def __init__(
        self, recorder: Recorder, list_unfinished: ListUnfinished, protocol: Protocol, bound_s: float | None
    ) -> None:
        self._recorder = recorder
        self._list_unfinished = list_unfinished
        self._protocol = protocol
        self._bound_s = bound_s or 0.0
        self._healed_at: float | None = None
        self._read_since_heal = False
        self._since: dict[str, float] = {}
        self._since_subject: dict[str, float] = {}
        self.latest_begin = 0.0
        """The latest begin among the transactions of the last probe, in seconds of the event loop; 0 if there are none."""

    def healed(self) -> None:
        """Record the heal, from which the bound counts."""
        self._recorder.event("healed")
        self._healed_at = _now()

    async def probe(self) -> bool:
        """Record the unfinished transactions. Return whether there are none; False also if the shop cannot be read."""
        begun_at = _now()
        try:
            rows = await self._list_unfinished()
        except EnvironmentFailure:
            return False
        self._date(rows, begun_at)
        data: dict[str, Any] = count(rows, self._protocol)
        if self._healed_at is not None:
            rows = sorted(rows, key=self._overdue_at)
            data["overdue"] = count((row for row in rows if self._overdue_at(row) <= _now()), self._protocol)
        self._recorder.event("probe", **data, unfinished=[_describe(row) for row in rows[:NAMED_PER_PROBE]])
        return not rows

    async def watch(self, every_s: float) -> None:
        """Probe every `every_s` seconds until cancelled, for live reports."""
        while True:
            await asyncio.sleep(every_s)
            await self.probe()

    def _date(self, rows: Iterable[Row], begun_at: float) -> None:
        """Date the transactions that no earlier probe listed.

        Those of the first probe after the heal may have begun before it, so they count from the heal. A transaction keeps its
        date when it is missing in a probe: the stores are read one after the other.
        """
        first_listed = _now() if self._healed_at is None or self._read_since_heal else self._healed_at
        for row in rows:
            # A retry of a checkout is a transaction of its own. It counts from the first attempt, or a checkout that fails for
            # ever would never be overdue.
            of_coordinator = row["service"] == COORDINATOR
            begun = self._since_subject.setdefault(row["subject"], first_listed) if of_coordinator else first_listed
            self._since.setdefault(row["txn"], begun)
        self.latest_begin = max((self._since[row["txn"]] for row in rows), default=0.0)
        self._read_since_heal |= self._healed_at is not None and begun_at >= self._healed_at

    def _overdue_at(self, row: Row) -> float:
        return max(self._healed_at or 0.0, self._since[row["txn"]]) + self._bound_s


def _now() -> float:
    return asyncio.get_running_loop().time()


def _describe(row: Row) -> str:
    """Return a text such as `a1b2.7 prepared in stock (item/5)`."""
    return f"{row.get('txn')} {row.get('state')} in {row.get('service')} ({row.get('subject')})"
