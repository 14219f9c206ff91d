"""The records of two-phase commit, as the stores keep them; in Lua, arrays in this order (``locks.lua``, ``commands.lua``)."""

from typing import NamedTuple

from protocols.shop.ledger import Changes


class Opened(NamedTuple):
    """The coordinator's record of a transaction: OPEN, and after the decision COMMIT. A branch is (service, shard, changes).

    ``key`` and ``adopter``: see ``protocols.store.keys``.
    """

    subject: str
    owner: str
    since_ms: int
    branches: tuple[tuple[str, int, Changes], ...]
    key: str
    adopter: str


class Prepared(NamedTuple):
    """A participant's record of a branch: PREPARED with its locks, or queued for them.

    ``home`` is the coordinator's service, ``coordinator`` the instance that receives the vote. ``generation`` is that of the
    store which wrote the record (``protocols.store.lives``).
    """

    home: str
    branch: str
    coordinator: str
    priority_us: int
    since_ms: int
    changes: Changes
    generation: int = 0
