"""Servers that are no shop: each answers every request in its own useless way."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

ONE_ID = {
    "user_id": "1",
    "item_id": "1",
    "order_id": "1",
    "credit": 5,
    "stock": 5,
    "price": 1,
    "paid": True,
    "items": [],
    "total_cost": 0,
}
NONSENSE = ([], {}, {"a": 1}, 7, None, "text", {"user_id": None}, {"user_id": {"x": 1}})

KINDS = ("error-pages", "hangs", "closes", "random-json", "endless", "no-http", "one-id")


@asynccontextmanager
async def server(kind: str) -> AsyncIterator[str]:
    """Start a server of this kind on loopback and give its URL; at the end no connection of it is left."""
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(_serve(kind, reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    random = Random(7)
    try:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                await _answer(kind, writer, random)
    finally:
        writer.close()


async def _answer(kind: str, writer: asyncio.StreamWriter, random: Random) -> None:
    match kind:
        case "error-pages":
            page = b"<html><h1>502 Bad Gateway</h1></html>"
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page))
        case "hangs":
            await asyncio.Event().wait()
        case "closes":
            raise ConnectionError
        case "random-json" | "one-id":
            body = json.dumps(ONE_ID if kind == "one-id" else random.choice(NONSENSE)).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        case "endless":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                await writer.drain()
        case "no-http":
            writer.write(b"\x00\xff\x01 no HTTP at all\r\n\r\n")
            await writer.drain()
            raise ConnectionError
    await writer.drain()
