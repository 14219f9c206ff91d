"""The parts of each service of the asyncio shop: a journal, an HTTP server, a client of another service, ids and balances."""

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tests.shops.contract import LARGEST_BATCH, LIMIT, Rejected, Unknown, number
from tests.shops.faults import Faults

GAP_S = 0.02
Answer = tuple[int, Any]
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

PARSERS: dict[str, Callable[[str], Any]] = {
    "{id}": str,
    "{number}": number,
    "{count}": lambda text: number(text, LARGEST_BATCH),
}


class Journal:
    """Tables in memory, and the file for their replay. Each line is one atomic commit: a list of [table, key, value]."""

    def __init__(self, file: Path) -> None:
        self.tables: dict[str, dict[str, Any]] = {}
        whole = file.read_bytes() if file.exists() else b""
        whole = whole[: whole.rfind(b"\n") + 1]  # a kill may have cut off the last line
        for line in whole.splitlines():
            self._apply(json.loads(line))
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.truncate(self._file, len(whole))
        self._syncing: asyncio.Task[None] | None = None

    def __getitem__(self, table: str) -> dict[str, Any]:
        return self.tables.setdefault(table, {})

    def _apply(self, changes: Any) -> None:
        for table, key, value in changes:
            self[table][key] = value

    def commit(self, *changes: tuple[str, str, Any]) -> None:
        """Change values. They survive a kill from now on, and a power cut after `synced`."""
        os.write(self._file, json.dumps(changes).encode() + b"\n")
        self._apply(changes)

    async def synced(self) -> None:
        """Wait for a sync that began after all that is written; requests of one moment share it."""
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync())
        await asyncio.shield(self._syncing)

    async def _sync(self) -> None:
        await asyncio.sleep(0)
        self._syncing = None
        await asyncio.to_thread(os.fsync, self._file)


async def read_message(reader: asyncio.StreamReader) -> tuple[str, bytes, bool]:
    """Read a request or a response: its first line, its body, and whether the connection stays open.

    Raises `EOFError` where the connection has ended.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return first, body, headers.get("connection", "").lower() != "close" and not first.endswith("HTTP/1.0")


class Peer:
    """A client of another service, with a pool of connections."""

    def __init__(self, url: str, limit: int = 64) -> None:
        self._address = urlsplit(url)
        self._limit = asyncio.Semaphore(limit)
        self._idle: list[Stream] = []

    async def call(self, method: str, path: str, *arguments: str | int, body: Any = None) -> Answer:
        """Return the status and the body of the answer. Raises `OSError` or `EOFError` where there is none."""
        target = "/".join([path, *(quote(str(argument), safe="") for argument in arguments)])
        data = json.dumps(body).encode()
        async with self._limit:
            try:
                address = self._address.hostname, self._address.port
                reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(*address)
                writer.write(
                    f"{method} {target} HTTP/1.1\r\nHost: shop\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data
                )
                first, answer, _ = await read_message(reader)
            except (OSError, EOFError):
                self._idle.clear()  # of a peer that ended, all connections are dead
                raise
            self._idle.append((reader, writer))
        return int(first.split()[1]), json.loads(answer)


class Service:
    """An HTTP server of a table of routes: `(method, pattern, handler)`."""

    name = ""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._routes = [(method, pattern.split("/"), handler) for method, pattern, handler in self.routes()]

    def routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        raise NotImplementedError

    async def _handle(self, first: str, body: bytes) -> Answer:
        method, target, _ = first.split(" ", 2)
        try:
            parts = target.split("?")[0].removeprefix(f"/{self.name}").split("/")
            for wanted, pattern, handler in self._routes:
                if wanted == method and _matches(pattern, parts):
                    arguments = [
                        PARSERS[name](unquote(part))
                        for name, part in zip(pattern, parts, strict=True)
                        if name in PARSERS
                    ]
                    answer = handler(*arguments, *([json.loads(body)] if pattern[1] == "txn" else []))
                    return 200, (await answer if asyncio.iscoroutine(answer) else answer)
        except (Rejected, Unknown) as failure:
            return failure.status, {"error": str(failure)}
        return 404, {"error": f"no route {method} {target}"}

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            stays_open = True
            while stays_open:
                first, body, stays_open = await read_message(reader)
                status, answer = await self._handle(first, body)
                await self.journal.synced()
                data = json.dumps(answer).encode()
                head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
                writer.write(head.encode() + data)
                await writer.drain()
        writer.close()

    async def start(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._converse, "127.0.0.1", port, backlog=4096)


def _matches(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(
        bool(part) if name in PARSERS else part == name for name, part in zip(pattern, parts, strict=True)
    )


class Shared(Service):
    """Ids, accounts and reads, as each of the three services has them."""

    kind = column = ""

    def __init__(self, journal: Journal, faults: Faults) -> None:
        super().__init__(journal)
        self.faults = faults
        self.rows = journal["rows"]
        self._previous: Any = None
        if "ids-reused" in faults:
            journal["ids"].clear()

    def create(self, **values: Any) -> dict[str, str]:
        last = self.journal["ids"].get("last", 0) + 1
        key = f"{self.kind}{last}"
        self.journal.commit(("ids", "last", last), ("rows", key, values))
        return {f"{self.kind}_id": key}

    def row(self, key: str) -> Any:
        if key not in self.rows:
            raise Rejected(f"no {self.kind} {key!r}", 404)
        return self.rows[key]

    def put(self, key: str, **values: Any) -> None:
        self.journal.commit(("rows", key, {**self.rows[key], **values}))

    def read(self, answer: Any) -> Any:
        previous, self._previous = self._previous, answer
        return previous if previous and self.faults.strikes("wrong-answer") else answer

    def init(self, n: int, **values: int) -> dict[str, str]:
        if n:
            self.journal.commit(*(("rows", str(i), values) for i in range(n)))
        return {"msg": f"{n} {self.name} created"}

    def require(self, key: str, amount: int) -> None:
        balance = self.row(key)[self.column]
        if balance < amount and "negative-balance" not in self.faults:
            raise Rejected(f"{self.kind} {key!r} has {self.column} {balance}, and {amount} is needed")

    async def change(self, key: str, delta: int) -> str:
        before = self.row(key)[self.column]
        if delta < 0:
            self.require(key, -delta)
        if before + delta > LIMIT:
            raise Rejected(f"the {self.column} of {self.kind} {key!r} would be above {LIMIT}")
        if "lost-update" in self.faults:
            await asyncio.sleep(GAP_S)
        self.put(key, **{self.column: before + delta})
        return f"{self.kind} {key!r} changed by {delta}"
