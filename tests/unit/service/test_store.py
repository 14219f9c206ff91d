"""The store's client against servers that misbehave: a command is repeated only if it may run twice."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from protocols.core import Command
from protocols.ports import LoopClock, StoreDown, StoreFault, StoreFull, StoreUnknown
from protocols.service import valkey_connection
from protocols.service.codec import encode_arguments
from protocols.service.store import MOST_IN_BATCH, ValkeyStore
from protocols.service.valkey_connection import ServerAddress

OK = encode_arguments(7, ())  # any msgpack array will do as an answer
ANSWER = b"$%d\r\n%s\r\n" % (len(OK), OK)


class Server:
    """A server with just enough of RESP. `behave(number)` returns the answer to each FCALL, counted from 1; None hangs up."""

    def __init__(self, behave: Callable[[int], bytes | None]) -> None:
        self.calls: list[bytes] = []
        self.port = 0
        self._behave = behave
        self._number = itertools.count(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while header := await reader.readline():
                words = []
                for _ in range(int(header[1:])):
                    size = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(size + 2))[:-2])
                if words[0] != b"FCALL":
                    writer.write(
                        {b"DBSIZE": b":0\r\n", b"EXISTS": b":0\r\n", b"GET": b"$-1\r\n"}.get(words[0], b"+OK\r\n")
                    )
                    continue
                self.calls.append(words[1])
                answer = self._behave(next(self._number))
                if answer is None:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def store_of(
    behave: Callable[[int], bytes | None], limit_ms: int = 2_000
) -> AsyncIterator[tuple[ValkeyStore, Server]]:
    server = Server(behave)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    store = ValkeyStore(ServerAddress.parse(f"redis://127.0.0.1:{port}/0"), "#!lua", LoopClock(), limit_ms)
    store.start()
    try:
        yield store, server
    finally:
        await store.stop()
        listening.close()
        await listening.wait_closed()


async def test_commands_of_one_turn_leave_in_batches() -> None:
    async with store_of(lambda _: ANSWER) as (store, server):
        await store.call(Command("first"))
        before = store.counts.batches
        await asyncio.gather(*(store.call(Command(f"c{number}")) for number in range(50)))
        assert store.counts.batches == before + math.ceil(50 / MOST_IN_BATCH)
        assert server.calls[1:] == [f"wdm_c{number}".encode() for number in range(50)]


async def test_a_command_that_may_run_twice_is_repeated_until_it_is_answered() -> None:
    async with store_of(lambda number: ANSWER if number > 3 else None) as (store, server):
        assert await store.call(Command("fenced")) == (7,)
        assert server.calls == [b"wdm_fenced"] * 4


async def test_a_command_that_may_not_run_twice_is_unknown_when_its_answer_is_lost() -> None:
    async with store_of(lambda number: ANSWER if number > 1 else None) as (store, server):
        with pytest.raises(StoreUnknown):
            await store.once(Command("add"))
        assert await store.once(Command("other")) == (7,)
        assert server.calls == [b"wdm_add", b"wdm_other"]


async def test_a_command_that_was_sent_and_finds_no_connection_again_is_unknown() -> None:
    """It was answered "never executed": the first connection had it, and the store may have executed it."""
    async with store_of(lambda _: None, limit_ms=300) as (store, server):
        call = asyncio.ensure_future(store.call(Command("add")))
        while not server.calls:
            await asyncio.sleep(0.001)
        store._address = ServerAddress.parse("redis://127.0.0.1:1/0")
        with pytest.raises(StoreUnknown):
            await call


async def test_the_order_survives_a_lost_connection() -> None:
    async with store_of(lambda number: ANSWER if number > 5 else None) as (store, server):
        await asyncio.gather(*(store.call(Command(f"c{number}")) for number in range(9)))
        assert server.calls[-9:] == [f"wdm_c{number}".encode() for number in range(9)]


@pytest.mark.parametrize("call", [ValkeyStore.call, ValkeyStore.once], ids=["call", "once"])
async def test_a_store_that_cannot_be_reached_never_executes_the_command(
    call: Callable[[ValkeyStore, Command], Awaitable[object]],
) -> None:
    store = ValkeyStore(ServerAddress.parse("redis://127.0.0.1:1/0"), "#!lua", LoopClock(), limit_ms=100)
    store.start()
    with pytest.raises(StoreDown):
        await call(store, Command("add"))
    await store.stop()


PASSING = (
    b"-LOADING Valkey is loading the dataset in memory",
    b"-MISCONF Errors writing to the AOF file: No space left on device",
    b"-BUSY Valkey is busy running a script.",
    b"-ERR Function not found",
)


@pytest.mark.parametrize("error", PASSING, ids=lambda error: error.split()[0][1:].decode())
async def test_a_store_that_cannot_serve_yet_has_executed_nothing_so_commands_are_repeated(error: bytes) -> None:
    async with store_of(lambda number: ANSWER if number > 2 else error + b"\r\n") as (store, server):
        assert await store.once(Command("add")) == (7,)
        assert server.calls == [b"wdm_add"] * 3


FULL = b"-OOM allow-oom flag is not set on the function, can not run it when used memory > 'maxmemory'\r\n"


async def test_a_full_store_refuses_at_once_and_answers_later_commands_on_the_same_connection() -> None:
    async with store_of(lambda number: FULL if number == 1 else ANSWER) as (store, server):
        pending = [asyncio.ensure_future(store.once(Command(name))) for name in ("make", "add", "read")]
        with pytest.raises(StoreFull, match="memory is full"):
            await pending[0]
        assert await asyncio.gather(*pending[1:]) == [(7,), (7,)]
        assert server.calls == [b"wdm_make", b"wdm_add", b"wdm_read"]
        assert store.counts.connects == 1


async def test_a_command_that_a_protocol_submits_to_a_full_store_is_repeated_until_there_is_memory() -> None:
    async with store_of(lambda number: FULL if number < 3 else ANSWER) as (store, server):
        answered: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        store.submit(Command("begin"), answered.set_result)
        assert await answered == (7,)
        assert server.calls == [b"wdm_begin"] * 3
        assert store.counts.connects == 1


async def test_a_command_that_the_store_refuses_for_good_is_a_fault_and_not_repeated() -> None:
    async with store_of(lambda number: ANSWER if number > 1 else b"-ERR user_script: oops\r\n") as (store, server):
        with pytest.raises(StoreFault, match="oops"):
            await store.call(Command("broken"))
        assert await store.call(Command("fine")) == (7,)
        assert server.calls == [b"wdm_broken", b"wdm_fine"]


async def test_a_command_that_a_protocol_submits_and_the_store_refuses_is_reported_once() -> None:
    async with store_of(lambda number: ANSWER if number > 1 else b"-ERR user_script: oops\r\n") as (store, server):
        errors: list[object] = []
        answered = asyncio.get_running_loop().create_future()
        store.submit(Command("broken"), errors.append, errors.append)
        store.submit(Command("fine"), answered.set_result, errors.append)
        assert await answered == (7,)
        assert errors == ["ERR user_script: oops"]
        assert server.calls == [b"wdm_broken", b"wdm_fine"]


@pytest.mark.parametrize(
    "error", [b"OOM command not allowed", b"NOREPLICAS not enough", b"LOADING", b"READONLY", b"NOPERM"]
)
async def test_a_passing_error_refuses_no_command_that_a_protocol_submits(error: bytes) -> None:
    async with store_of(lambda number: ANSWER if number > 2 else b"-%b\r\n" % error) as (store, server):
        answered, errors = asyncio.get_running_loop().create_future(), list[str]()
        store.submit(Command("prepare"), answered.set_result, errors.append)
        assert await answered == (7,)
        assert (errors, server.calls) == ([], [b"wdm_prepare"] * 3)


async def test_an_answer_that_does_not_come_in_time_is_unknown() -> None:
    async with store_of(lambda _: b"", limit_ms=100) as (store, _):
        with pytest.raises(StoreUnknown):
            await store.once(Command("add"))


class Closed:
    """A connection that was reset a moment ago, as uvloop has it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.abort = transport.abort

    def write(self, _: bytes) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


async def test_a_connection_found_closed_by_a_write_is_opened_anew() -> None:
    """uvloop raises RuntimeError where asyncio only warns. Found by `wdm chaos flaky-network --seed 1`: it never came back."""
    async with store_of(lambda _: ANSWER) as (store, server):
        await store.call(Command("first"))
        connection = store._connection
        assert connection is not None
        connection._transport = Closed(connection._transport)  # type: ignore[assignment]
        assert await store.call(Command("fenced")) == (7,)
        assert server.calls[1:] == [b"wdm_fenced"]
        assert store.counts.connects == 2


async def test_a_command_submitted_at_the_loss_of_a_connection_waits_for_the_next_one() -> None:
    """It was not sent, so it is not unknown."""
    async with store_of(lambda _: ANSWER) as (store, server):
        await store.call(Command("first"))
        connection = store._connection
        assert connection is not None
        connection.fail(ConnectionResetError("on purpose"))
        assert await store.once(Command("add")) == (7,)
        assert server.calls[1:] == [b"wdm_add"]


async def test_a_silent_server_is_left_when_its_time_to_answer_is_over_and_no_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found with a store cut off from its network: a command in the middle of a look waited for the end of the next."""
    monkeypatch.setattr(valkey_connection, "REPLY_WITHIN_S", 0.4)
    async with store_of(lambda number: b"" if number == 2 else ANSWER) as (store, server):
        await store.call(Command("first"))
        await asyncio.sleep(0.2)
        loop = asyncio.get_running_loop()
        pending = loop.time()
        assert await store.call(Command("second")) == (7,)
        assert 0.35 < loop.time() - pending < 0.6
        assert server.calls[1:] == [b"wdm_second"] * 2


async def test_a_server_that_accepts_and_never_answers_is_connected_to_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when the network is cut between the handshake of TCP and the password: no packet ever ends the connection."""
    monkeypatch.setattr(valkey_connection, "REPLY_WITHIN_S", 0.2)
    taken = itertools.count(1)
    server = Server(lambda _: ANSWER)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if next(taken) == 1:
            await reader.read()  # until the other side has had enough
            writer.close()
        else:
            await server.serve(reader, writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        store = ValkeyStore(ServerAddress.parse(f"redis://:secret@127.0.0.1:{port}/0"), "#!lua", LoopClock(), 2_000)
        store.start()
        assert await store.call(Command("fenced")) == (7,)
        await store.stop()


async def test_a_rejected_command_stays_in_front_of_those_that_were_sent_after_it() -> None:
    error = b"-MISCONF Errors writing to the AOF file: No space left on device\r\n"
    async with store_of(lambda number: ANSWER if number > 3 else error) as (store, server):
        errors: list[object] = []
        for name in ("first", "second", "third"):
            store.submit(Command(name), errors.append)
        async with asyncio.timeout(5):
            while len(errors) < 3:
                await asyncio.sleep(0.01)
        assert server.calls[-3:] == [b"wdm_first", b"wdm_second", b"wdm_third"]
