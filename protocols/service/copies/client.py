"""The client of a store with copies: the store's client, with rules 1 to 3 of `protocols.copies`.

            FCALL ... FCALL    bundle_end(epoch)    WAIT 1
primary:    executes           counts, or refuses   answers when another copy has all of it
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from protocols.copies.bundles import Bundles, Unconfirmed
from protocols.copies.elector import Silent, View
from protocols.ports import Clock
from protocols.service.codec import decode_result
from protocols.service.copies.server import ServerCopy
from protocols.service.store import ValkeyStore, packed_call
from protocols.service.valkey_connection import OnLost, ServerAddress, ServerError, ValkeyConnection

CONFIRM_WITHIN_MS = 500
WAIT = b"*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$%d\r\n%d\r\n" % (len(str(CONFIRM_WITHIN_MS)), CONFIRM_WITHIN_MS)
REPLY_WITHIN_S = 1.0
"""Shorter than for a single store, where nobody else could answer."""


class CopiedStore(ValkeyStore):
    """The store with copies at `addresses`. `enabled(safeguard)` is False for a rule that is switched off."""

    def __init__(
        self,
        addresses: Sequence[ServerAddress],
        library: str,
        clock: Clock,
        limit_ms: int,
        enabled: Callable[[str], bool] = lambda _: True,
    ) -> None:
        super().__init__(addresses[0], library, clock, limit_ms)
        names = {(address.host, address.port): str(number) for number, address in enumerate(addresses)}
        self._copies = {address: ServerCopy(names[address.host, address.port], address, names) for address in addresses}
        self._epoch = 0
        self._bundles = Bundles(enabled)

    async def _open(self, on_lost: OnLost) -> ValkeyConnection:
        """Connect to the primary of the largest epoch; one that was replaced, and does not know it yet, confirms nothing."""
        self._bundles.clear()
        views = await asyncio.gather(*(_looked_at(copy) for copy in self._copies.values()))
        primaries = [
            (view.epoch, address)
            for address, view in zip(self._copies, views, strict=True)
            if view is not None and view.primary and view.epoch
        ]
        if not primaries:
            raise ServerError("no copy of the store is its primary")
        self._epoch, self._address = max(primaries, key=lambda primary: primary[0])
        return await ValkeyConnection.open(self._address, self._on_reply, on_lost, self._set_up, REPLY_WITHIN_S)

    def _write(self, connection: ValkeyConnection, packed: bytes, count: int) -> None:
        now_ms = self._clock.now_us() // 1000
        ends = [*(packed_call(end, now_ms) for end in self._bundles.begin(count, self._epoch)), WAIT]
        connection.write(packed + b"".join(ends), count + len(ends))

    def _on_reply(self, reply: Any) -> None:
        """Keep a reply until its bundle is confirmed; one that is not ends the connection, and all of it is unknown."""
        try:
            replies = self._bundles.take(reply, _in_epoch)
        except Unconfirmed as error:
            raise ServerError(str(error)) from None
        for one in replies:
            super()._on_reply(one)


def _in_epoch(end: Any) -> bool:
    return type(end) is bytes and decode_result(end)[0] == "ok"


async def _looked_at(copy: ServerCopy) -> View | None:
    try:
        return await copy.look()
    except Silent:
        return None
