"""A connection that POSTs, against servers that answer in pieces, close, are silent, or speak something else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from protocols.service.links import http_connection
from protocols.service.links.http_connection import HttpConnection

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head, await reader.readexactly(length)


def answering(*pieces: bytes) -> Serve:
    """Each request is answered in these pieces."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)

    return serve


@contextlib.asynccontextmanager
async def connected(serve: Serve) -> AsyncIterator[HttpConnection]:
    over = asyncio.Event()

    async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await serve(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        over.set()

    async with await asyncio.start_server(handled, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = await HttpConnection.connect(f"http://127.0.0.1:{port}/in?x=1", {"x-secret": "s"})
        try:
            yield connection
        finally:
            connection.close()
            await over.wait()


async def test_it_posts_again_and_again_on_one_connection() -> None:
    received: list[tuple[bytes, bytes]] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await request(reader)
            received.append((head, body))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with connected(echo) as connection:
        for body in (b"one", b"", b"\x00" * 100_000):
            assert await connection.post(body) == (200, body)
        assert connection.usable
    assert [body for _, body in received] == [b"one", b"", b"\x00" * 100_000]
    assert received[0][0].startswith(b"POST /in HTTP/1.1\r\nhost: 127.0.0.1:")
    assert b"\r\nx-secret: s\r\n" in received[0][0]


async def test_an_answer_may_come_in_pieces() -> None:
    pieces = (b"HTTP/1.1 20", b"0 OK\r\ncontent-le", b"ngth: 5\r\n\r\nhe", b"llo")
    async with connected(answering(*pieces)) as connection:
        assert await connection.post(b"x") == (200, b"hello")
        assert await connection.post(b"x") == (200, b"hello")


async def test_an_answer_without_a_body() -> None:
    async with connected(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as connection:
        assert await connection.post(b"x") == (204, b"")


async def test_a_connection_that_the_server_closes_after_an_answer_is_not_used_again() -> None:
    async with connected(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")) as connection:
        assert await connection.post(b"x") == (200, b"")
        assert not connection.usable
        with pytest.raises(ConnectionResetError):
            await connection.post(b"x")


async def test_a_server_that_closes_instead_of_an_answer() -> None:
    async def close(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await request(reader)

    async with connected(close) as connection:
        with pytest.raises(ConnectionResetError):
            await connection.post(b"x")
        assert not connection.usable


async def test_a_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "ANSWER_WITHIN_S", 0.1)
    async with connected(answering()) as connection:
        with pytest.raises(TimeoutError):
            await connection.post(b"x")
        assert not connection.usable, "a late answer must not be taken for that of the next request"


async def test_a_post_that_is_given_up_leaves_no_answer_behind() -> None:
    async with connected(answering()) as connection:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await connection.post(b"x")
        assert not connection.usable


async def test_a_server_of_another_protocol() -> None:
    async with connected(answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")) as connection:
        with pytest.raises(ConnectionError):
            await connection.post(b"x")


async def test_no_server_listens() -> None:
    with pytest.raises(OSError, match=r".+"):
        await HttpConnection.connect("http://127.0.0.1:1/in", {})
