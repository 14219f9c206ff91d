"""Questions to a server that answers, refuses, falls silent or hangs up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Connection
from redis.exceptions import RedisError

from protocols.service import valkey_connection
from protocols.service.valkey_connection import PipelinedClient


@asynccontextmanager
async def line_to(*answers: bytes) -> AsyncIterator[PipelinedClient]:
    """To a server that has these to say, one for each read, and then nothing more; empty: it hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for answer in answers:
                await reader.read(1024)
                if not answer:
                    return
                writer.write(answer)
            await reader.read()
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        line = await PipelinedClient.open(lambda: Connection(host="127.0.0.1", port=port, protocol=2, driver_info=None))
        try:
            yield line
        finally:
            await line.close()


async def test_each_is_told_its_own_answers_however_they_arrive() -> None:
    async with line_to(b":1\r\n:2\r", b"\n:3\r\n") as line:
        first, second = line.tell([("A",), ("B",)]), line.tell([("C",)])
        await asyncio.sleep(0.05)
        line.tell([("D",)])
        assert (await first, await second) == ([1, 2], [3])


async def test_a_refusal_is_told_to_whom_it_concerns_and_the_rest_goes_on() -> None:
    async with line_to(b"+OK\r\n-OOM too much\r\n+OK\r\n") as line:
        refused, fine = line.tell([("A",), ("B",)]), line.tell([("C",)])
        with pytest.raises(RedisError, match="OOM too much"):
            await refused
        assert await fine == [b"OK"]


@pytest.mark.parametrize(("said", "error"), [(b"", ConnectionError), (b"no protocol\r\n", RedisError)])
async def test_whoever_waits_hears_why_it_is_over_and_so_does_who_comes_late(said: bytes, error: type) -> None:
    async with line_to(said) as line:
        with pytest.raises(error):
            await line.tell([("A",)])
        with pytest.raises(error):
            await line.until_lost()
        with pytest.raises(error):
            await line.tell([("B",)])


async def test_a_server_that_owes_an_answer_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey_connection, "ANSWER_WITHIN_S", 0.2)
    async with line_to() as line:
        await asyncio.sleep(0.5)  # it owes nothing
        with pytest.raises(TimeoutError):
            await line.tell([("A",)])


async def test_what_is_given_up_is_over_for_all() -> None:
    async with line_to() as line:
        waiting = line.tell([("A",)])
        line.give_up(RedisError("no disk"))
        for told in (waiting, line.until_lost()):
            with pytest.raises(RedisError, match="no disk"):
                await told
