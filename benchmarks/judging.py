"""The speed of `wdm judge` itself: requests a second that are made and recorded, beside a server that only answers.

`python -m benchmarks.judging [--clients 32] [--rounds 5] [--seconds 3]`

The server is a process of its own, which answers every request with the same bytes. Each round takes the client of an examination
with a history in a file, and then the same client without a history; the ratio is the share that recording leaves.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from harness.history import FileRecorder, Header, RecordedClaims
from harness.judge.course_client import CourseClient, Dialect
from harness.run.load import ClientPool
from harness.workload.base import call

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 29\r\n\r\n{"user_id":"7","credit":1234}'
HEADER = Header(
    protocol="none", claims=RecordedClaims(atomicity="none", isolation="none", durability="always"), scenario="judging",
    workload="reads", durability="always", runtime="external", seed=0,
)  # fmt: skip


class OneAnswer(asyncio.Protocol):
    """A connection that answers each request at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER * data.count(b"\r\n\r\n"))


async def serve() -> None:
    """Listen on a free port, print it, and answer until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(OneAnswer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


async def main(chosen: argparse.Namespace) -> None:
    """Print the rate of each round, and the medians."""
    async with AsyncExitStack() as stack:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.judging",
            "--serve",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        stack.callback(process.stdin.close)
        url = f"http://127.0.0.1:{int(await process.stdout.readline())}"
        client = await stack.enter_async_context(CourseClient({"payment": url}, 10.0, Dialect()))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        recorder = stack.enter_context(FileRecorder(folder / "history.ndjson", HEADER))
        pool, read = ClientPool(client, recorder), call("find_user", "7")
        recorded, plain = [], []
        for number in range(chosen.rounds):
            recorded.append(await _rate(chosen, lambda: _session(pool.session().do, read)))
            plain.append(await _rate(chosen, lambda: _session(lambda one: client.call(one.op, *one.args), read)))
            print(f"round {number + 1}: {recorded[-1]:.0f} requests/s recorded, {plain[-1]:.0f} without")
    ratio = statistics.median(one / other for one, other in zip(recorded, plain, strict=True))
    print(
        f"median {statistics.median(recorded):.0f} requests/s made and recorded, {ratio:.2f} of the rate without a history"
    )


def _session(do: Callable[..., Awaitable[object]], read: object) -> Callable[[], Awaitable[object]]:
    return lambda: do(read)


async def _rate(chosen: argparse.Namespace, client: Callable[[], Callable[[], Awaitable[object]]]) -> float:
    """Return the requests a second of a closed loop."""
    count, begin = 0, time.monotonic()

    async def loop() -> None:
        nonlocal count
        request = client()
        while time.monotonic() - begin < chosen.seconds:
            await request()
            count += 1

    await asyncio.gather(*(loop() for _ in range(chosen.clients)))
    return count / (time.monotonic() - begin)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judging", description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--serve", action="store_true", help="run as the server")
    arguments = parser.parse_args()
    asyncio.run(serve() if arguments.serve else main(arguments))
