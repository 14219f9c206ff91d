"""The link over HTTP, and an instance that is down: its messages go to another instance."""

import asyncio
import socket
from contextlib import closing

from protocols.service.links.http import HttpLink
from tests.links.conftest import CODEC, WITHIN_S, Note

NO_CONTENT = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"


async def test_messages_avoid_a_refusing_instance_while_there_is_another() -> None:
    received: asyncio.Queue[str] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := (await reader.readuntil(b"\r\n\r\n")).lower():
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            for message in CODEC.decode(await reader.readexactly(length))[1]:
                received.put_nowait(message.text)
            writer.write(NO_CONTENT)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        ports = unused.getsockname()[1], server.sockets[0].getsockname()[1]
        link = HttpLink("http://me", {"stock": [f"http://127.0.0.1:{port}" for port in ports]}, {}, "s", CODEC)
        await link.start(lambda *_: None)
        async with asyncio.timeout(WITHIN_S):
            link.send("stock", Note("t.0", "lost"))
            while link.counts.lost == 0:
                await asyncio.sleep(0.001)
            for number in range(10):
                link.send("stock", Note("t.1", str(number)))
            assert [await received.get() for _ in range(10)] == [str(number) for number in range(10)]
        assert link.counts.lost == 1
        await link.stop()
    server.close()


async def test_a_failed_instance_receives_messages_if_there_is_no_other() -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        link = HttpLink("http://me", {"stock": [f"http://127.0.0.1:{unused.getsockname()[1]}"]}, {}, "s", CODEC)
        async with asyncio.timeout(WITHIN_S):
            for lost in (1, 2):
                link.send("stock", Note("t.0"))
                while link.counts.lost < lost:
                    await asyncio.sleep(0.001)
        await link.stop()
