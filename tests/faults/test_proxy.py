"""A link through the proxy: the order and integrity of bytes, and the effect of each rule."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest

from harness.runtimes.base import Rule
from harness.runtimes.network.proxied_link import HIGH
from harness.runtimes.network.proxy import Proxy

WIRE = ("a", "b")
QUIET_S = 0.1  # so long nothing arrives where nothing may


class Peer:
    """A server behind one link, which returns the received bytes and counts its connections."""

    def __init__(self) -> None:
        self.proxy = Proxy()
        self.came = 0
        self.got = bytearray()
        self.ends: list[str] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.proxy.add(*WIRE, self._server.sockets[0].getsockname()[1])
        await self.proxy.start()

    async def stop(self) -> None:
        assert self._server is not None
        await self.proxy.stop()
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        self._writers.append(writer)
        try:
            await self.reads.wait()
            while data := await reader.read(65536):
                self.got += data
                writer.write(data)
                await writer.drain()
            self.ends.append("end")
        except ConnectionError:
            self.ends.append("reset")
        writer.close()

    def apply_rule(self, by: str = "test", seed: int = 1, **rule: Any) -> None:
        self.proxy.apply_rule(by, [WIRE], Rule(**rule), Random(seed))

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    await peer.start()
    yield peer
    await peer.stop()


async def until(true: Callable[[], object], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.002)


async def silent(reader: asyncio.StreamReader) -> bool:
    try:
        await asyncio.wait_for(reader.read(1), QUIET_S)
    except TimeoutError:
        return True
    return False


async def exchange(peer: Peer, data: bytes) -> bytes:
    """Send all, end the stream, and read the answer to its end."""
    reader, writer = await peer.client()
    writer.write(data)
    writer.write_eof()
    answer = await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    return answer


RULES: dict[str, dict[str, float]] = {
    "no rule": {},
    "delay": {"delay_ms": 20},
    "jitter": {"delay_ms": 1, "jitter_ms": 30},
    "slow": {"bytes_per_s": 4_000_000},
    "all": {"delay_ms": 5, "jitter_ms": 5, "bytes_per_s": 4_000_000},
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
async def test_bytes_arrive_whole_in_order_and_end(peer: Peer, rule: dict[str, float]) -> None:
    if rule:
        peer.apply_rule(**rule)
    data = Random(7).randbytes(700_000)
    answers = await asyncio.gather(*(exchange(peer, data[at:]) for at in range(3)))
    assert answers == [data[at:] for at in range(3)]
    assert peer.ends == ["end"] * 3
    await until(lambda: not peer.proxy._links[WIRE].flows)


async def test_small_pieces_keep_their_order_under_jitter(peer: Peer) -> None:
    peer.apply_rule(jitter_ms=20)
    reader, writer = await peer.client()
    sent = b""
    for number in range(60):
        piece = b"%d," % number
        sent += piece
        writer.write(piece)
        await asyncio.sleep(0.001)
    assert await reader.readexactly(len(sent)) == sent
    writer.close()


async def test_a_delay_delays_each_way(peer: Peer) -> None:
    peer.apply_rule(delay_ms=60)
    reader, writer = await peer.client()
    started = time.monotonic()
    writer.write(b"x")
    assert await reader.read(1) == b"x"
    assert time.monotonic() - started >= 0.12
    writer.close()


async def test_a_slow_link_carries_no_more_than_its_rate_whatever_the_connections(peer: Peer) -> None:
    peer.apply_rule(bytes_per_s=100_000)
    started = time.monotonic()
    await asyncio.gather(*(exchange(peer, bytes(10_000)) for _ in range(3)))
    assert time.monotonic() - started >= 0.3


async def test_the_end_of_a_delay_delivers_at_once(peer: Peer) -> None:
    peer.apply_rule(delay_ms=60_000)
    reader, writer = await peer.client()
    writer.write(b"x")
    assert await silent(reader)
    peer.proxy.remove_rules("test")
    assert await asyncio.wait_for(reader.read(1), 2) == b"x"
    writer.close()


async def test_a_cut_stalls_and_the_heal_delivers(peer: Peer) -> None:
    reader, writer = await peer.client()
    writer.write(b"before")
    assert await reader.readexactly(6) == b"before"
    peer.apply_rule(cut=True)
    writer.write(b"late")
    assert await silent(reader)
    assert bytes(peer.got) == b"before"
    peer.proxy.remove_rules("test")
    assert await asyncio.wait_for(reader.readexactly(4), 2) == b"late"
    writer.close()


async def test_bytes_sent_before_a_disconnect_arrive_after_the_heal(peer: Peer) -> None:
    reader, writer = await peer.client()
    writer.write(b"before")
    await reader.readexactly(6)
    peer.apply_rule(cut=True)
    writer.write(b"late")
    writer.close()
    await asyncio.sleep(QUIET_S)
    assert (bytes(peer.got), peer.ends) == (b"before", [])
    peer.proxy.remove_rules("test")
    await until(lambda: peer.ends)
    assert (bytes(peer.got), peer.ends) == (b"beforelate", ["end"])


async def test_a_new_connection_waits_during_a_cut_and_continues_after_it(peer: Peer) -> None:
    peer.apply_rule(cut=True)
    reader, writer = await peer.client()
    writer.write(b"x")
    assert await silent(reader)
    assert peer.came == 0
    peer.proxy.remove_rules("test")
    assert await asyncio.wait_for(reader.read(1), 2) == b"x"
    writer.close()


async def test_a_client_that_disconnects_during_a_cut_was_never_connected(peer: Peer) -> None:
    peer.apply_rule(cut=True)
    _, writer = await peer.client()
    writer.write(b"never")
    writer.close()
    await writer.wait_closed()
    await until(lambda: all(flow.near.over for flow in peer.proxy._links[WIRE].flows))
    peer.proxy.remove_rules("test")
    assert await exchange(peer, b"after") == b"after"
    assert (peer.came, bytes(peer.got)) == (1, b"after")


async def test_a_link_cut_by_two_is_cut_until_both_heal(peer: Peer) -> None:
    reader, writer = await peer.client()
    peer.apply_rule("one", cut=True)
    peer.apply_rule("two", cut=True)
    writer.write(b"x")
    peer.proxy.remove_rules("one")
    peer.proxy.remove_rules("one")
    assert await silent(reader)
    peer.proxy.remove_rules("two")
    assert await asyncio.wait_for(reader.read(1), 2) == b"x"
    writer.close()


async def test_a_heal_may_reset_both_ends(peer: Peer) -> None:
    reader, writer = await peer.client()
    writer.write(b"x")
    await reader.read(1)
    peer.apply_rule(cut=True)
    peer.proxy.remove_rules("test", reset=True)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1), 2)
    await until(lambda: peer.ends == ["reset"])
    writer.close()


async def test_a_loss_resets_both_ends_and_delivers_nothing(peer: Peer) -> None:
    reader, writer = await peer.client()
    writer.write(b"x")
    await reader.read(1)
    peer.apply_rule(reset=1.0)
    writer.write(b"lost")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1), 2)
    await until(lambda: peer.ends == ["reset"])
    assert bytes(peer.got) == b"x"
    writer.close()


async def test_losses_are_drawn_from_the_seed(peer: Peer) -> None:
    async def lost(seed: int) -> list[int]:
        peer.apply_rule(reset=0.3, seed=seed)
        resets = []
        for number in range(30):
            try:
                await exchange(peer, b"x")
            except ConnectionError:
                resets.append(number)
        return resets

    first = await lost(3)
    assert 3 < len(first) < 28
    assert await lost(3) == first
    assert await lost(4) != first


async def test_a_peer_that_reads_nothing_stops_the_sender(peer: Peer) -> None:
    """The proxy keeps a bounded amount, delayed or not; then the sender has to wait, as on a real network."""
    for rule in ({}, {"delay_ms": 60_000.0}):
        peer.reads.clear()
        if rule:
            peer.apply_rule(**rule)
        _, writer = await peer.client()
        writer.write(bytes(40_000_000))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.3)
        flows = list(peer.proxy._links[WIRE].flows)
        assert all(flow.near._queued <= 2 * HIGH for flow in flows)
        writer.transport.abort()


async def test_a_dead_peer_resets_the_client() -> None:
    proxy = Proxy()
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = proxy.add(*WIRE, server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()
    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1), 2)
    writer.close()
    await proxy.stop()


async def test_the_end_of_a_peer_reaches_the_client(peer: Peer) -> None:
    reader, writer = await peer.client()
    writer.write(b"x")
    await reader.read(1)
    peer._writers[0].close()
    assert await asyncio.wait_for(reader.read(1), 2) == b""
    writer.close()
    await until(lambda: not peer.proxy._links[WIRE].flows)


@pytest.mark.parametrize("rule", [{}, {"cut": True}, {"delay_ms": 60_000}], ids=["open", "cut", "delayed"])
async def test_stop_leaves_no_listener_no_connection_and_no_task(peer: Peer, rule: dict[str, Any]) -> None:
    before = asyncio.all_tasks()
    _, writer = await peer.client()
    writer.write(b"x")
    await until(lambda: peer.proxy._links[WIRE].flows)
    if rule:
        peer.apply_rule(**rule)
    _, other = await peer.client()
    await peer.proxy.stop()
    with pytest.raises(ConnectionRefusedError):
        await peer.client()
    assert not peer.proxy._links[WIRE].flows
    peer._writers[0].transport.abort() if peer._writers else None
    writer.close()
    other.close()
    await until(lambda: not [task for task in asyncio.all_tasks() - before if not task.done()])
