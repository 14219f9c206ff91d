"""The server rejects foreign requests, shows only run folders, and explains each page that it cannot show."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from harness.errors import EnvironmentFailure
from harness.history import FileRecorder, Header, RecordedClaims
from harness.report.server.app import served
from harness.run import scenarios
from harness.run.plan import Plan, simulated
from tests.running import conduct

HEADER = Header(
    protocol="saga",
    claims=RecordedClaims(atomicity="eventually", isolation="none", durability="everysec"),
    scenario="by hand",
    workload="checkout",
    durability="everysec",
    runtime="local",
    seed=9,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("runs") / "wdm-runs"
    conduct(Plan(simulated(scenarios.load("store-crash")), "2pc", 1, runtime="sim"), made)
    (made.parent / "secret.txt").write_text("a secret")
    return made


@pytest.fixture
async def url(folder: Path) -> AsyncIterator[str]:
    async with served(folder, 0) as address:
        yield address


def only(folder: Path) -> Path:
    """The one run in it."""
    (found,) = (each for each in folder.iterdir() if not each.is_symlink())
    return found


async def request(url: str, path: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
    """The path goes out as it is written, whatever a client would make of it."""
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        lines = {"Host": f"{host}:{port}", "Connection": "close", **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
        answer = await reader.read()
    finally:
        writer.close()
    top, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = top.decode().split("\r\n")
    return int(first.split()[1]), body.decode(), dict(line.split(": ", 1) for line in rest)


async def test_it_listens_on_this_machine_alone(url: str) -> None:
    assert url.startswith("http://127.0.0.1:")
    with pytest.raises(OSError, match=r"refused|unreachable|Connect call failed"):
        await asyncio.open_connection("127.0.0.2", int(url.rsplit(":", 1)[1].strip("/")))


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", "[::1]:80", ""])
async def test_a_name_that_is_not_ours_is_not_answered(url: str, host: str) -> None:
    status, body, _ = await request(url, "/", Host=host)
    assert status in {400, 403}
    assert "Runs" not in body


async def test_other_pages_and_other_methods_are_refused(url: str) -> None:
    assert (await request(url, "/", **{"Sec-Fetch-Site": "cross-site"}))[0] == 403
    assert (await request(url, "/", "POST", **{"Content-Length": "0"}))[0] == 405
    assert (await request(url, "/", "DELETE"))[0] == 405
    assert (await request(url, "/", **{"Sec-Fetch-Site": "same-origin"}))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/runs/..",
        "/runs/../secret.txt",
        "/runs/%2e%2e%2fsecret.txt",
        "/runs/..%2f..%2fetc%2fpasswd",
        "/runs/{run}/file/..%2f..%2fsecret.txt",
        "/runs/{run}/file/%2e%2e/%2e%2e/secret.txt",
        "/runs/{run}/file/../../../secret.txt",
        "/runs/{run}/file/logs",
        "/runs/{run}/file/link.txt",
        "/runs/{run}/file/report.txt%00",
        "/runs/{run}/part/..%2f..",
        "/runs/latest",
        "/compare?a=../..&b=..",
        "//etc/passwd",
    ],
)
async def test_no_path_leads_out_of_the_runs(url: str, folder: Path, path: str) -> None:
    run = only(folder)
    link = run / "report.csv"
    if not link.is_symlink():
        link.symlink_to(folder.parent / "secret.txt")
    status, body, _ = await request(url, path.format(run=run.name))
    assert status in {400, 404, 405}
    assert "a secret" not in body
    assert "root:" not in body


async def test_a_link_that_leads_out_is_not_followed(url: str, folder: Path) -> None:
    run = only(folder)
    link = run / "results.csv"
    link.symlink_to(folder.parent / "secret.txt")
    try:
        status, body, _ = await request(url, f"/runs/{run.name}/file/results.csv")
    finally:
        link.unlink()
    assert status == 404
    assert "a secret" not in body


async def test_every_response_limits_the_browser(url: str, folder: Path) -> None:
    run = only(folder).name
    for path in ("/", f"/runs/{run}", f"/runs/{run}/file/results.json", "/style.css", "/nowhere"):
        status, _, headers = await request(url, path)
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert status == (404 if path == "/nowhere" else 200)
        assert "unsafe-inline" not in headers["Content-Security-Policy"], path
    document = json.loads((await request(url, f"/runs/{run}/file/results.json"))[1])
    assert document["verdict"] == "holds"


async def test_a_page_of_another_version_is_made_anew(url: str, folder: Path) -> None:
    """It would be sent with the hashes of today's style, and have none."""
    page = only(folder) / "report.html"
    made = page.read_text("utf-8")
    page.write_text(made.replace("sha256-", "sha256-other"))
    assert (await request(url, f"/runs/{only(folder).name}"))[1] == made


async def test_a_run_under_way_is_followed_and_a_killed_one_is_named(tmp_path: Path) -> None:
    import os
    import time

    run = tmp_path / "20260101-000000-saga-9"
    run.mkdir()
    recorder = FileRecorder(run / "history.ndjson", HEADER)
    recorder.phase("load")
    async with served(tmp_path, 0) as url, aiohttp.ClientSession() as session, session.get(f"{url}events") as events:
        first = json.loads((await events.content.readline()).removeprefix(b"data: "))
        assert (first[0]["verdict"], first[0]["live"]["checkouts"]) == ("running", {"ok": 0, "fail": 0, "unknown": 0})
        assert (first[0]["protocol"], first[0]["seed"]) == ("saga", 9)
        recorder.invoke(1, "checkout", "5").ok("paid")
        recorder._flush()
        async with asyncio.timeout(10):
            while True:
                line = await events.content.readline()
                if line.startswith(b"data: "):
                    break
        assert json.loads(line.removeprefix(b"data: "))[0]["live"]["checkouts"]["ok"] == 1
        assert "This run is in progress" in (await request(url, f"/runs/{run.name}"))[1]
        os.utime(run / "history.ndjson", (time.time() - 100,) * 2)
        status, body, _ = await request(url, f"/runs/{run.name}")
        assert status == 409
        assert "the file was truncated or is being written" in body
    recorder.close()


async def test_a_port_that_is_taken_is_named(url: str, folder: Path) -> None:
    port = int(url.rsplit(":", 1)[1].strip("/"))
    with pytest.raises(EnvironmentFailure, match=f"port {port} cannot be listened on.*--port"):
        async with served(folder, port):
            pass
