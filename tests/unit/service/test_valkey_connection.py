"""Commands to a server that answers, refuses, falls silent or hangs up, and the handshake before them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from protocols.errors import UsageError
from protocols.service import valkey_connection
from protocols.service.pipelined_client import PipelinedClient
from protocols.service.valkey_connection import LOST, BrokenReply, ServerAddress, ServerError


@asynccontextmanager
async def server(*answers: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Yield the port of a server that sends one answer for each read, and then nothing; an empty answer hangs up.

    The list holds the bytes of each read.
    """
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for answer in answers:
                received.append(await reader.read(1024))
                if not answer:
                    return
                writer.write(answer)
            await reader.read()
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1], received


@asynccontextmanager
async def client_of(*answers: bytes) -> AsyncIterator[PipelinedClient]:
    async with server(*answers) as (port, _):
        client = await PipelinedClient.open(ServerAddress("127.0.0.1", port))
        try:
            yield client
        finally:
            client.close()


async def test_each_group_receives_its_own_replies_however_they_arrive() -> None:
    async with client_of(b":1\r\n:2\r", b"\n:3\r\n") as client:
        first, second = client.execute([("A",), ("B",)]), client.execute([("C",)])
        await asyncio.sleep(0.05)
        client.execute([("D",)])
        assert (await first, await second) == ([1, 2], [3])


async def test_an_error_reply_concerns_its_group_and_no_other() -> None:
    async with client_of(b"+OK\r\n-OOM too much\r\n+OK\r\n") as client:
        refused, fine = client.execute([("A",), ("B",)]), client.execute([("C",)])
        with pytest.raises(ServerError, match="OOM too much"):
            await refused
        assert await fine == [b"OK"]


@pytest.mark.parametrize(("answer", "error"), [(b"", ConnectionError), (b"no protocol\r\n", BrokenReply)])
async def test_the_end_of_a_connection_is_raised_to_earlier_and_to_later_callers(answer: bytes, error: type) -> None:
    async with client_of(answer) as client:
        with pytest.raises(error):
            await client.execute([("A",)])
        with pytest.raises(error):
            await client.until_lost()
        with pytest.raises(error):
            await client.execute([("B",)])


async def test_a_server_that_owes_a_reply_and_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey_connection, "REPLY_WITHIN_S", 0.2)
    async with client_of() as client:
        await asyncio.sleep(0.5)  # it owes nothing
        with pytest.raises(TimeoutError):
            await client.execute([("A",)])


async def test_giving_up_ends_every_call() -> None:
    async with client_of() as client:
        waiting = client.execute([("A",)])
        client.fail(ServerError("no disk"))
        for ended in (waiting, client.until_lost()):
            with pytest.raises(ServerError, match="no disk"):
                await ended


# ---------------------------------------------------------------- the handshake


async def test_the_handshake_sends_the_password_and_the_database_one_after_the_other() -> None:
    async with server(b"+OK\r\n", b"+OK\r\n", b":1\r\n") as (port, received):
        client = await PipelinedClient.open(ServerAddress.parse(f"redis://me:s%40fe@127.0.0.1:{port}/3"))
        assert await client.execute([("DBSIZE",)]) == [1]
        client.close()
    assert [tuple(command.split(b"\r\n")[2::2]) for command in received] == [
        (b"AUTH", b"me", b"s@fe"),
        (b"SELECT", b"3"),
        (b"DBSIZE",),
    ]


@pytest.mark.parametrize("answer", [b"-WRONGPASS invalid password\r\n", b"", b"HTTP/1.1 400\r\n"])
async def test_a_server_that_refuses_the_handshake_is_of_no_use(answer: bytes) -> None:
    async with server(answer) as (port, _):
        with pytest.raises(LOST):
            await PipelinedClient.open(ServerAddress.parse(f"redis://:no@127.0.0.1:{port}"))


async def test_nothing_listens_there() -> None:
    with pytest.raises(ConnectionRefusedError):
        await PipelinedClient.open(ServerAddress.parse("redis://127.0.0.1:1"))


# ---------------------------------------------------------------- addresses


def test_an_address_has_defaults_and_hides_its_password() -> None:
    assert ServerAddress.parse("redis://host") == ServerAddress("host", 6379)
    address = ServerAddress.parse("redis://:secret@[::1]:7000/2")
    assert address == ServerAddress("::1", 7000, "", "secret", 2)
    assert "secret" not in repr(address)
    assert ServerAddress.parse("rediss://host").tls is not None


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://:secret@host", "'http'"),
        ("redis://:secret@host:port", "port"),
        ("redis://:secret@host/name", "'/name'"),
        ("redis://:secret@host?health_check_interval=3", "'health_check_interval'"),
        ("redis://:secret@host?ssl_ca_certs=x", "'ssl_ca_certs'"),
        ("rediss://:secret@host?ssl_ca_certs=/no/such/file", "TLS files"),
    ],
)
def test_an_address_that_is_wrong_is_refused_by_its_part_and_without_its_password(url: str, part: str) -> None:
    with pytest.raises(UsageError, match=part) as refusal:
        ServerAddress.parse(url)
    assert "secret" not in str(refusal.value)
