"""The records of a saga, as the stores keep them; in Lua, arrays in this order (``commands.lua``)."""

from typing import Any, NamedTuple

from protocols.shop.ledger import Changes

Entries = tuple[tuple[str, str, str], ...]
"""Lines for the log of a saga: (what, branch, why) each."""


class Logged(NamedTuple):
    """A saga that has not ended. ``state`` is ``running`` or ``undoing``; a branch is (service, shard, changes)."""

    subject: str
    owner: str
    since_ms: int
    state: str
    branches: tuple[tuple[str, int, Changes], ...]


class Ended(NamedTuple):
    """The note of a saga that has ended. ``log`` has (at_ms, what, branch, why) for each line."""

    txn: str
    subject: str
    since_ms: int
    log: tuple[Any, ...]


class Fence(NamedTuple):
    """What a branch remembers of a saga. ``marked`` has (key, delta, life of the account) for each change.

    ``verdict`` is ``done``; ``failed``, refused for ever; ``undone``, done and then compensated; ``fenced``, compensated before
    it was done, so that it never will be; or "", unknown here.
    """

    branch: str
    verdict: str = ""
    why: str = ""
    marked: tuple[tuple[str, int, int], ...] = ()
