"""A batch of shops: each is started, judged and ended in its turn, and a shop that does not start stops no other."""

import json
import os
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from harness.report.run_folders import describe, list_folders
from tests.shops import ROOT
from tests.terminal import Terminal, until
from wdm.cli import main

SCHEMA = json.loads((ROOT / "harness/report/results.schema.json").read_text("utf-8"))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nodes by their processes need /proc")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def start_line(port: int, faults: str = "", data: str = ".") -> str:
    program = f"{sys.executable} -m tests.shops.flask_shop --port {port} --data {data}"
    return f"exec env PYTHONPATH={ROOT} {program} --faults '{faults}'"


def table(**values: object) -> str:
    return "[[shop]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path, timeout_s=120)
    yield opened
    opened.close()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def processes_of(folder: Path) -> list[str]:
    """The command lines of the processes whose working directory is this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder and os.getpid() != int(process.name):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def latest(terminal: Terminal) -> dict[str, Any]:
    return dict(json.loads((terminal.folder / "wdm-runs/latest/results.json").read_text("utf-8")))


@pytest.mark.slow
def test_shops_are_judged_one_after_the_other_and_all_of_them_are_ended(terminal: Terminal) -> None:
    ports = [free_port() for _ in range(2)]
    for name in ("good", "bad"):
        (terminal.folder / name).mkdir()
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    writes_urls = (
        f'echo \'{{"ORDER_URL": "{urls[1]}", "STOCK_URL": "{urls[1]}", "PAYMENT_URL": "{urls[1]}"}}\' > urls.json; '
    )
    (terminal.folder / "shops.toml").write_text(
        table(name="gone", start="echo out of memory; exit 9", url="http://127.0.0.1:9")
        + table(
            name="good", folder="good", start=start_line(ports[0]), url=urls[0], node="shop", repeat=1,
            parts=["contract", "kill"],
        )
        + table(
            name="bad", folder="bad", start=writes_urls + start_line(ports[1], "lost-update"), urls="urls.json",
            parts=["consistency"],
        )
    )  # fmt: skip
    done = terminal.wdm("judge", "--batch", "shops.toml", "--budget", "40s", "--seed", "3")
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["shop", "verdict", "contract"]
    assert [line.split()[:2] for line in lines[1:]] == [["gone", "unknown"], ["good", "holds"], ["bad", "violated"]]
    assert "exit code 9: out of memory" in lines[1]
    assert [listens(port) for port in ports] == [False, False]
    assert [processes_of(terminal.folder / name) for name in ("good", "bad")] == [[], []]

    document = latest(terminal)
    jsonschema.validate(document, SCHEMA)
    assert [shop["environment"] for shop in document["shops"]] == [True, False, False]
    assert document["shops"][1]["parts"]["kill"] == "passed"
    assert "oversell" in document["shops"][2]["defects"]
    folder = terminal.folder / "wdm-runs/latest"
    for shop in document["shops"]:
        jsonschema.validate(json.loads((folder / shop["folder"] / "results.json").read_text("utf-8")), SCHEMA)
    suites = ET.parse(folder / "junit.xml").getroot()
    assert [suite.get("name") for suite in suites] == ["wdm judge gone", "wdm judge good", "wdm judge bad"]
    assert [(suite.get("errors"), suite.get("failures")) for suite in suites] == [("1", "0"), ("0", "0"), ("0", "1")]
    assert 'href="bad/report.html"' in (folder / "report.html").read_text("utf-8")
    assert [describe(path)["kind"] for path in list_folders(terminal.folder / "wdm-runs")] == ["judge_batch"]
    assert [describe(path)["kind"] for path in list_folders(folder)] == ["judge"] * 3


@pytest.mark.slow
def test_a_process_at_the_address_is_never_taken_for_the_shop(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        (terminal.folder / "shops.toml").write_text(table(name="late", start="sleep 60", url=url))
        done = terminal.wdm("judge", "--batch", "shops.toml", "--budget", "10s", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["exit"], document["verdict"]) == (4, 4, "unknown")
    assert document["headline"] == "1 shops: 0 violated, 1 unknown, 0 holds"
    assert f"{url} is in use by another process" in document["reasons"][0]
    assert processes_of(terminal.folder) == []


@pytest.mark.parametrize("moment", [pytest.param("start", marks=pytest.mark.slow), "examination"])
def test_an_interrupt_ends_what_was_started(terminal: Terminal, moment: str) -> None:
    port = free_port()
    start = start_line(port) if moment == "examination" else "sleep 1000 & sleep 1000"
    (terminal.folder / "shops.toml").write_text(
        table(name="first", start=start, url=f"http://127.0.0.1:{port}")
        + table(name="second", url="http://127.0.0.1:9")
    )
    text = "contract: " if moment == "examination" else "[1/2] first"
    command = terminal.start_until(text, "judge", "--batch", "shops.toml", "--budget", "60s")
    until(
        lambda: (
            (terminal.folder / "wdm-runs").is_dir()
            and any("sleep" in line or "flask" in line for line in processes_of(terminal.folder))
        )
    )
    command.send_signal(signal.SIGINT)
    assert command.wait(30) == 130
    assert not listens(port)
    assert processes_of(terminal.folder) == []
    document = latest(terminal)
    assert document["interrupted"]
    assert [shop["headline"] for shop in document["shops"]] == ["unknown: the examination was interrupted"] * 2
    jsonschema.validate(document, SCHEMA)


@pytest.mark.slow
def test_a_process_that_ignores_sigterm_is_killed(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    start = "trap '' TERM; echo one; sleep 100 & wait; exit 0"
    (terminal.folder / "shops.toml").write_text(
        table(name="stubborn", start=start, url="http://127.0.0.1:9", ready_within="1s")
    )
    done = terminal.wdm("judge", "--batch", "shops.toml", "--budget", "10s")
    assert done.returncode == 4
    assert "no answer from http://127.0.0.1:9 for 1 s: one" in done.stdout
    assert processes_of(terminal.folder) == []


def test_compose_projects_are_of_the_batch_alone_and_removed(terminal: Terminal) -> None:
    """With a stand-in for Compose: the commands are the same for a real one."""
    tools = terminal.folder / "bin"
    tools.mkdir()
    for name, text in (("docker", "exit 1"), ("docker-compose", f'echo "$@" >> {tools}/calls; [ "$5" != up ]')):
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(stat.S_IRWXU)
    (terminal.folder / "compose.yml").write_text("services: {}\n")
    (terminal.folder / "shops.toml").write_text(
        table(name="In Boxes", compose="compose.yml", url="http://127.0.0.1:9", ready_within="5s")
    )
    path = f"{tools}:{os.environ['PATH']}"
    done = terminal.wdm("judge", "--batch", "shops.toml", "--budget", "10s", PATH=path)
    assert done.returncode == 4, done.stderr
    assert "up --detach`: exit code 1" in done.stdout
    version, up, down = (tools / "calls").read_text().splitlines()
    project = up.split()[1]
    assert project.startswith("wdm-judge-in-boxes-")
    file = terminal.folder / "compose.yml"
    assert version == "version --short"
    assert up == f"--project-name {project} --file {file} up --detach"
    assert down == f"--project-name {project} --file {file} down --volumes --remove-orphans --rmi local --timeout 5"


def test_options_of_one_shop_are_refused_in_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shops.toml").write_text(table(name="a", url="http://127.0.0.1:9"))
    for arguments, option in ((["http://127.0.0.1:9"], "URL"), (["--pid", "a=1"], "--pid")):
        assert main(["judge", "--batch", "shops.toml", *arguments]) == 2
        stderr = capsys.readouterr().err
        assert f"{option} belongs to one shop: give it in the table of that shop in shops.toml" in stderr


@pytest.mark.slow
def test_nodes_that_the_examination_has_started_are_ended_as_well(terminal: Terminal) -> None:
    """A shop by its pidfile and its variables: after a kill, the batch has started it again, in a group of its own."""
    port = free_port()
    start = f"echo $$ > shop.pid; {start_line(port).replace(str(port), '$PORT')}"
    (terminal.folder / "shops.toml").write_text(
        table(name="one", start=f"({start}) & wait", url=f"http://127.0.0.1:{port}", parts=["kill"], repeat=1)
        + f'pidfile.web = "shop.pid"\nstart_cmd.web = {json.dumps(start)}\nenv.PORT = {port}\n'
    )
    done = terminal.wdm("judge", "--batch", "shops.toml", "--budget", "40s")
    assert done.returncode == 0, done.stdout + done.stderr
    (history,) = (terminal.folder / "wdm-runs/latest/one").glob("kill-*.ndjson")
    assert '"kind":"fault-start"' in history.read_text().replace(" ", "")
    assert (terminal.folder / "wdm-runs/latest/one/web.log").is_file(), "the examination has started the node again"
    assert not listens(port)
    assert processes_of(terminal.folder) == []
