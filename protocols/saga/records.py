"""The records of a saga, as the stores keep them; in Lua, arrays in this order (``commands.lua``)."""

from typing import Any, NamedTuple

from protocols.shop.ledger import Changes

Entries = tuple[tuple[str, str, str], ...]
"""Lines for the log of a saga: (event, branch, why) each."""


class SagaRecord(NamedTuple):
    """A saga that has not ended. ``state`` is ``executing`` or ``compensating``; a branch is (service, shard, changes).

    ``key`` and ``adopter``: see ``protocols.store.keys``.
    """

    subject: str
    owner: str
    since_ms: int
    state: str
    branches: tuple[tuple[str, int, Changes], ...]
    key: str
    adopter: str


class EndedSaga(NamedTuple):
    """The kept log of a saga that has ended: (at_ms, event, branch, why) for each line."""

    txn: str
    subject: str
    since_ms: int
    log: tuple[Any, ...]


class Fence(NamedTuple):
    """The record of a saga's step at its branch. ``changes`` has (key, delta, life of the account) for each change.

    ``verdict`` is ``performed``; ``rejected``, for ever; ``compensated`` after the step; ``fenced``, compensated before the step
    arrived, which prevents it; or "" without a record.
    """

    branch: str
    verdict: str = ""
    why: str = ""
    changes: tuple[tuple[str, int, int], ...] = ()
