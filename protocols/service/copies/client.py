"""The client of a store with copies: the store's client, with rules 1 to 3 of `protocols.copies`.

It is the same for every value of `--copies`; the way to the primary differs (`discovery.py`). Where no elector counts epochs, the
epoch is 0 in each bundle and in the store, so rule 3 refuses nothing.

            FCALL ... FCALL    bundle_end(epoch)    WAIT 1
primary:    executes           counts, or refuses   answers when another copy has all of it
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from protocols.copies.bundles import Bundles, Unconfirmed
from protocols.core import Command
from protocols.ports import Clock
from protocols.service.codec import decode_result
from protocols.service.copies.discovery import FindPrimary
from protocols.service.store import ValkeyStore, packed_call
from protocols.service.valkey_connection import OnLost, ServerAddress, ServerError, ValkeyConnection

CONFIRM_WITHIN_MS = 500
WAIT = b"*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$%d\r\n%d\r\n" % (len(str(CONFIRM_WITHIN_MS)), CONFIRM_WITHIN_MS)
REPLY_WITHIN_S = 1.0
"""Shorter than for a single store, where nobody else could answer."""


class CopiedStore(ValkeyStore):
    """The store whose primary `find_primary` finds. `enabled(safeguard)` is False for a rule that is switched off.

    `generations` and `key_prefix` are those of every store; no store of our elector has generations, for it loses nothing.
    """

    def __init__(
        self,
        address: ServerAddress,
        find_primary: FindPrimary,
        library: str,
        clock: Clock,
        limit_ms: int,
        enabled: Callable[[str], bool] = lambda _: True,
        *,
        generations: bool = False,
        key_prefix: str = "",
    ) -> None:
        super().__init__(address, library, clock, limit_ms, generations=generations, key_prefix=key_prefix)
        self._find_primary = find_primary
        self._epoch = 0
        self._bundles = Bundles(enabled)

    async def _open(self, on_lost: OnLost) -> ValkeyConnection:
        """Connect to the primary of this moment."""
        self._bundles.clear()
        self._epoch, self._address = await self._find_primary()
        return await ValkeyConnection.open(self._address, self._on_reply, on_lost, self._set_up, REPLY_WITHIN_S)

    def _wake(self) -> None:
        """Send nothing while a bundle waits for its confirmation.

        The server would execute nothing of it before, and one large bundle costs less than several: a WAIT makes the primary and
        each follower exchange messages of their own. That is the group commit of DeWitt et al., "Implementation techniques for
        main memory database systems", SIGMOD 1984.
        """
        if not self._bundles.unconfirmed:
            super()._wake()

    def _write(self, connection: ValkeyConnection, packed: bytes, count: int) -> None:
        ends = self._bundles.begin(count, self._epoch)
        connection.write(packed + _packed(ends), count + len(ends) + 1)

    def _on_reply(self, reply: Any) -> None:
        """Keep a reply until its bundle is confirmed; one that is not ends the connection, and all of it is unknown."""
        try:
            replies = self._bundles.take(reply, _in_epoch)
        except Unconfirmed as error:
            raise ServerError(str(error)) from None
        for one in replies:
            super()._on_reply(one)
        self._wake()


@lru_cache(maxsize=16)
def _packed(ends: tuple[Command, ...]) -> bytes:
    """Return the end of a bundle, with its WAIT. It uses no time, so it is the same for all bundles of an epoch."""
    return b"".join([*(packed_call(end, 0) for end in ends), WAIT])


def _in_epoch(end: Any) -> bool:
    return type(end) is bytes and decode_result(end)[0] == "ok"
