"""The gateway's container against instances that break and reject: as tests/unit/test_gateway.py for the one of processes."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import aiohttp
import pytest

from harness.runtimes.docker import engine_client, images, project
from protocols.shop.idempotency_key import FINAL_HEADER, KEY_HEADER
from tests.runtimes import need_docker

pytestmark = pytest.mark.docker

LIMIT_MS = 700
BREAKS = "send(b'')"
REJECTS = (
    f"send(b'HTTP/1.1 424 Failed Dependency\\r\\n{FINAL_HEADER}: no\\r\\nContent-Length: 2\\r\\n"
    "Connection: close\\r\\n\\r\\n{}')"
)
INSTANCE = """
import re, socket
listening = socket.create_server(("0.0.0.0", 5000))
while True:
    connection, _ = listening.accept()
    head = b""
    while b"\\r\\n\\r\\n" not in head and (more := connection.recv(65536)):
        head += more
    print(*re.findall(rb"(?i)idempotency-key: (\\S+)", head)[0:1], flush=True)
    connection.{act}
    connection.close()
"""
SETTINGS = f'map "" $statuses {{ default exact; }} map "" $limit_ms {{ default {LIMIT_MS}; }}'


@contextmanager
def gateway_and_instances(*acts: str) -> Iterator[tuple[str, list[Any]]]:
    """Yield the gateway's URL and one container for each act, all of them instances of `stock`."""
    need_docker()
    with closing(engine_client.connect()) as client:
        chosen = images.choose(client)
        network = client.networks.create("wdm-test-gateway")
        started: list[Any] = []
        try:
            for act in acts:
                instance = client.containers.create(
                    chosen["service"], ["python3", "-c", INSTANCE.replace("{act}", act)], stop_signal="KILL"
                )
                started.append(instance)
                network.connect(instance, aliases=["stock"])
                instance.start()
            files = {
                str(project.root() / "containers" / name): {"bind": f"/etc/nginx/{name}", "mode": "ro"}
                for name in ("nginx.conf", "gateway.js")
            }
            command = ["sh", "-c", f"echo '{SETTINGS}' > /tmp/settings.conf && exec nginx -g 'daemon off;'"]
            gateway = client.containers.create(
                chosen["nginx"], command, volumes=files, ports={"8000/tcp": ("127.0.0.1", None)}, stop_signal="KILL"
            )
            started.append(gateway)
            network.connect(gateway)
            gateway.start()
            gateway.reload()
            port = gateway.attrs["NetworkSettings"]["Ports"]["8000/tcp"][0]["HostPort"]
            yield f"http://127.0.0.1:{port}", started[:-1]
        finally:
            for container in started:
                container.remove(force=True, v=True)
            network.remove()


async def serving(session: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                async with session.get(f"{url}/health") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


async def test_a_rejection_by_one_instance_is_no_answer_for_a_copy_that_another_one_lost() -> None:
    with gateway_and_instances(BREAKS, REJECTS) as (url, (breaking, rejecting)):
        async with aiohttp.ClientSession() as session:
            await serving(session, url)

            async def status_of(key: str) -> int:
                async with session.post(f"{url}/stock/add/x/1", headers={KEY_HEADER: key}) as response:
                    return response.status

            keys = [f"key-{number}" for number in range(16)]
            statuses = dict(zip(keys, await asyncio.gather(*map(status_of, keys)), strict=True))
        lost = {key for key in keys if f"{key}'".encode() in breaking.logs()}
        assert lost
        assert {key for key, status in statuses.items() if status == 502} == lost
        assert {key for key, status in statuses.items() if status == 424} == set(keys) - lost
        assert b"key-" in rejecting.logs()
