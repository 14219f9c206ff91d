"""A running deployment, as `wdm status`, `logs` and `down` show and treat it."""

import os
import signal
import socket
import stat
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.terminal import Terminal, until


def test_status_says_what_runs_and_no_password(shop: Terminal) -> None:
    status = shop.status()
    assert (status["protocol"], status["runtime"]) == ("2pc", "local")
    assert status["gateway"].startswith("http://127.0.0.1:")
    names = [node["name"] for node in status["nodes"]]
    services = [f"{service}-{index}" for service in ("order", "stock", "payment") for index in (1, 2)]
    assert names == ["order-store", "stock-store", "payment-store", *services, "gateway"]
    for node in status["nodes"]:
        assert list(node) == ["name", "kind", "service", "pid", "url", "state", "takes"]
        assert node["state"] == "running"
        assert "@" not in node["url"]


def test_secrets_are_their_owners_only(shop: Terminal) -> None:
    secret_files = [shop.folder / ".wdm/deployment.json", *(shop.folder / ".wdm/conf").iterdir()]
    assert len(secret_files) == 4
    assert {stat.S_IMODE(file.stat().st_mode) for file in secret_files} == {0o600}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_everything_listens_on_loopback_only(shop: Terminal) -> None:
    ports = {int(node.url.rsplit(":", 1)[1].split("/")[0]) for node in shop.nodes().values()}
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    listening = [socket[1].split(":") for socket in sockets if socket[3] == "0A"]
    ours = {address for address, port in listening if int(port, 16) in ports}
    assert ours == {"0100007F"}


def test_the_gateway_serves_and_says_how_the_services_are(shop: Terminal) -> None:
    with urllib.request.urlopen(shop.status()["gateway"] + "/health") as answer:
        assert answer.read() == b'{"ok":true,"services":{"order":true,"stock":true,"payment":true}}'


@pytest.mark.parametrize("how", [(), pytest.param(("--detach",), marks=pytest.mark.slow)], ids=str)
def test_a_second_up_in_the_same_folder_is_refused(shop: Terminal, how: tuple[str, ...]) -> None:
    before = shop.nodes()
    answer = shop.wdm("up", "--port", "0", *how)
    assert answer.returncode == 4
    assert "is already running in" in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert shop.nodes() == before


@pytest.mark.parametrize("how", [("--detach",), pytest.param((), marks=pytest.mark.slow)], ids=str)
def test_a_taken_port_is_refused_before_anything_starts(shop: Terminal, how: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        answer = shop.wdm("up", "--port", port, "--state-dir", "taken", *how)
        assert answer.returncode == 4
        assert f"port {port} is already in use; choose another with --port" in answer.stderr
        assert answer.stderr.count("\n") == 1
    assert shop.nodes("taken") == {}
    assert list((shop.folder / "taken/logs").glob("*-store.log")) == []


def test_a_killed_node_comes_back_where_it_was(shop: Terminal) -> None:
    for name in ("stock-2", "stock-store", "gateway"):
        before = shop.nodes()[name]
        assert before.pid is not None
        os.kill(before.pid, signal.SIGKILL)
        until(lambda name=name, pid=before.pid: shop.nodes()[name].pid not in (None, pid))
        until(lambda name=name: shop.nodes()[name].state == "running")
        assert shop.nodes()[name].url == before.url


def test_logs_of_a_node_of_a_service_and_of_nobody(shop: Terminal) -> None:
    one = shop.wdm("logs", "order-1")
    assert '"event": "serving"' in one.stdout
    both = shop.wdm("logs", "order", "--lines", "1")
    assert {line.split()[0] for line in both.stdout.splitlines()} == {"order-1", "order-2", "order-store"}
    nobody = shop.wdm("logs", "cart")
    assert nobody.returncode == 2
    assert "no node or service 'cart'" in nobody.stderr


def test_txn_commands_reach_the_services(shop: Terminal) -> None:
    assert shop.wdm("txn", "list", "--json").stdout == "[]\n"
    unknown = shop.wdm("txn", "resolve", "none.1")
    assert unknown.returncode == 2
    assert "no service has an unfinished transaction 'none.1'" in unknown.stderr
