"""The client of a store with copies sends one bundle at a time: what is submitted meanwhile leaves as the next one, whole."""

import asyncio

import hiredis
import msgspec

from protocols.core import Command
from protocols.ports import LoopClock
from protocols.service.copies.client import CopiedStore
from protocols.service.store_format import FORMAT
from protocols.service.valkey_connection import ServerAddress

OK = msgspec.msgpack.encode(["ok"])
SET_UP = {b"DBSIZE": b":1\r\n", b"EXISTS": b":0\r\n", b"FUNCTION": b"+wdm\r\n", b"GET": b"$1\r\n%d\r\n" % FORMAT}


class Primary:
    """A server that answers WAIT when `confirm` is called. `calls` are the words of all FCALL and WAIT."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._confirms = asyncio.Semaphore(0)
        self.waiting = asyncio.Event()

    def confirm(self) -> None:
        self.waiting.clear()
        self._confirms.release()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        while data := await reader.read(1 << 16):
            commands.feed(data)
            while (words := commands.gets()) is not False:
                await self._answer(words, writer)
        writer.close()

    async def _answer(self, words: list[bytes], writer: asyncio.StreamWriter) -> None:
        if words[0] in SET_UP:
            writer.write(SET_UP[words[0]])
            return
        self.calls.append((words[1] if words[0] == b"FCALL" else words[0]).decode())
        if words[0] == b"FCALL":
            writer.write(b"$%d\r\n%b\r\n" % (len(OK), OK))
            return
        self.waiting.set()
        await self._confirms.acquire()
        writer.write(b":1\r\n")


async def test_commands_that_come_while_a_bundle_waits_leave_together_after_its_confirmation() -> None:
    primary = Primary()
    server = await asyncio.start_server(primary.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    address = ServerAddress("127.0.0.1", port)

    async def find_primary() -> tuple[int, ServerAddress]:
        return 1_024, address

    store = CopiedStore(address, find_primary, "#!lua", LoopClock(), 5_000)
    async with server:
        store.start()
        first = asyncio.create_task(store.call(Command("a")))
        await asyncio.wait_for(primary.waiting.wait(), 5)
        later = [asyncio.create_task(store.call(Command(name))) for name in "bcdefghijklmnopqrstuvw"]
        for _ in range(20):
            await asyncio.sleep(0)
        assert not first.done()
        assert primary.calls == ["wdm_a", "wdm_bundle_end", "WAIT"]
        primary.confirm()
        await asyncio.wait_for(primary.waiting.wait(), 5)
        assert first.done()
        assert primary.calls[3:] == [*(f"wdm_{name}" for name in "bcdefghijklmnopqrstuvw"), "wdm_bundle_end", "WAIT"]
        primary.confirm()
        await asyncio.wait_for(asyncio.gather(*later), 5)
        await store.stop()
