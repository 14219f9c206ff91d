"""A client that sends a request again whose connection broke, with the same idempotency key.

Without it, no shop can keep every request from failing: when a gateway dies, the connections of its clients break.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from harness.errors import exhausted
from harness.workload.client import RawAnswer, ShopClient
from protocols.backoff import Backoff
from protocols.shop.idempotency_key import KEY_HEADER

if TYPE_CHECKING:
    import yarl

AGAIN_MS, LONGEST_AGAIN_MS = 10.0, 100.0


class RepeatingClient(ShopClient):
    """A `ShopClient` whose every request has a key, and is sent until an answer to it is final, or the time limit ends.

    A copy of which the connection broke may have its effect: a 424, or another answer that is not final, is none from then on.
    With `others`, further addresses of the shop, requests take turns, and a copy goes to the next address.
    """

    def __init__(self, url: str, timeout_s: float = 15.0, others: Sequence[str] = ()) -> None:
        super().__init__(url, timeout_s)
        self._turn = cycle([url.rstrip("/"), *(other.rstrip("/") for other in others)])

    def _address(self, path: str) -> str:  # noqa: ARG002 - all addresses serve every path
        return next(self._turn)

    async def _exchange(self, method: str, url: "yarl.URL", headers: Mapping[str, str]) -> RawAnswer:
        from aiohttp import ClientConnectorError  # noqa: PLC0415 - as in `client`

        again, lost = Backoff(AGAIN_MS, LONGEST_AGAIN_MS), False
        keyed = headers if method == "GET" else {**headers, KEY_HEADER: secrets.token_hex(16)}
        async with asyncio.timeout(self._timeout_s):
            while True:
                try:
                    received = await super()._exchange(method, url, keyed)
                    if received.final or not lost:
                        return received
                except TimeoutError:
                    raise
                except self._broken as error:
                    if exhausted(error):
                        raise
                    lost = lost or not isinstance(error, ClientConnectorError)  # which was not sent
                await asyncio.sleep(again.next_s())
                url = self._parse(next(self._turn) + url.raw_path_qs)
