"""The client of an operator for the services of a running shop, on their own ports and with their secret."""

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from harness.errors import EnvironmentFailure
from harness.runtimes.base import Node
from protocols.service.links.peers import SECRET

ANSWER_WITHIN_S = 5.0


class AdminClient:
    """A client of one running instance of each service: its instances share a store, so each has all transactions.

    Every method raises `EnvironmentFailure` if a service does not answer.
    """

    def __init__(self, nodes: Iterable[Node], secret: str) -> None:
        self._urls: dict[str, str] = {}
        for node in nodes:
            if node.kind == "service" and node.state == "running":
                self._urls.setdefault(node.service, node.url)
        self._headers = {SECRET: secret}

    async def unfinished(self) -> list[dict[str, Any]]:
        """Return `{"txn", "service", "state", "subject", "since_ms"}` of each unfinished transaction, sorted."""
        answers = await self._request_all("GET", "/internal/txns")
        return sorted((row for rows in answers.values() for row in rows), key=lambda row: (row["txn"], row["service"]))

    async def ended(self) -> list[dict[str, Any]]:
        """Return the same of the last transactions that ended, as far as the protocol records them, the latest first."""
        answers = await self._request_all("GET", "/internal/ended")
        return sorted((row for rows in answers.values() for row in rows), key=lambda row: row["since_ms"])

    async def show(self, txn: str) -> list[dict[str, Any]]:
        """Return the records of one transaction in each service; empty if none has any."""
        answers = await self._request_all("GET", f"/internal/txns/{quote(txn, safe='')}")
        return [row for rows in answers.values() for row in rows]

    async def resolve(self, txn: str) -> dict[str, bool]:
        """Resume a transaction at once in each service; return by service whether it was unfinished there."""
        answers = await self._request_all("POST", f"/internal/txns/{quote(txn, safe='')}/resolve")
        return {service: answer["resolved"] for service, answer in answers.items()}

    async def _request_all(self, method: str, path: str) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session:
            answers = await asyncio.gather(*(_request(session, method, url + path) for url in self._urls.values()))
        return dict(zip(self._urls, answers, strict=True))


async def _request(session: aiohttp.ClientSession, method: str, url: str) -> Any:
    try:
        async with session.request(method, URL(url, encoded=True)) as response:
            if response.status == 200:
                return await response.json()
            reason = f"it answered {response.status}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        reason = str(error) or type(error).__name__
    raise EnvironmentFailure(f"{url} does not answer: {reason}; see `wdm status`")
