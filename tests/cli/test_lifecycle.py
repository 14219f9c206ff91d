"""However `wdm up` ends, no process of it stays."""

import json
import os
import re
import resource
import signal
import subprocess
from pathlib import Path

import pytest
import redis

from harness.runtimes.deployment import process
from tests.terminal import Terminal, until, watchdogs


@pytest.mark.slow
def test_two_side_by_side_and_a_node_that_stays_down(terminal: Terminal) -> None:
    terminal.up("--state-dir", "one", "--respawn-after-s", "0")
    assert terminal.wdm("up", "--detach", "--port", "0", "--state-dir", "two").returncode == 0
    first, second = terminal.identities("one"), terminal.identities("two")
    assert len({*first, *second}) == 14

    process.send(terminal.identities("one")[3], signal.SIGKILL)
    until(lambda: terminal.nodes("one")["order-1"].state == "down")
    assert terminal.wdm("down", "--state-dir", "two").returncode == 0
    assert not any(process.alive(identity) for identity in second)
    # Long enough for a respawn with the default delay to have shown itself.
    assert terminal.nodes("one")["order-1"].pid is None
    assert sum(process.alive(identity) for identity in first) == 6
    assert terminal.wdm("down", "--all").returncode == 0
    assert not any(process.alive(identity) for identity in first)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 0, marks=pytest.mark.slow)]
)
def test_a_signal_stops_everything(terminal: Terminal, number: signal.Signals, code: int) -> None:
    up = terminal.up()
    running = terminal.identities()
    up.send_signal(number)
    assert up.wait(6) == code
    assert not any(process.alive(identity) for identity in running)
    assert terminal.wdm("status").returncode == 4


def test_a_signal_while_it_starts_leaves_nothing(terminal: Terminal) -> None:
    up = terminal.start("up", "--port", "0")
    file = terminal.folder / ".wdm/deployment.json"
    until(lambda: file.exists() and terminal.identities())
    running = terminal.identities()
    up.send_signal(signal.SIGINT)
    assert up.wait(10) == 130
    assert not any(process.alive(identity) for identity in running)
    assert not file.exists()


@pytest.mark.slow
def test_what_a_killed_up_left_is_ended_by_down(terminal: Terminal) -> None:
    up = terminal.up()
    running = terminal.identities()
    os.kill(running[0].pid, signal.SIGSTOP)  # a paused node handles no SIGTERM
    up.kill()
    up.wait()
    answer = terminal.wdm("status")
    assert answer.returncode == 4
    assert "the supervisor of these nodes" in answer.stderr
    assert terminal.wdm("down").returncode == 0
    assert not any(process.alive(identity) for identity in running)


@pytest.mark.slow
def test_what_a_killed_up_left_is_ended_by_the_next_up(terminal: Terminal) -> None:
    """A process that the killed supervisor had no time to write down, where the watchdog was killed as well."""
    up = terminal.up()
    gateway = terminal.status()["gateway"]
    tag = json.loads((terminal.folder / ".wdm/deployment.json").read_text())["tag"]
    for watchdog in watchdogs(up.pid):
        process.send(watchdog, signal.SIGKILL)
    running = terminal.identities()
    with subprocess.Popen(["sleep", "60"], env={process.TAG: tag}) as stray:
        up.kill()
        up.wait()
        answer = terminal.wdm("doctor", "--port", "0")
        assert re.search(r"processes \(order-store, .*\) without a supervisor in ", answer.stderr)
        assert "`wdm down --all` removes it" in answer.stderr
        assert terminal.wdm("up", "--detach", "--port", gateway.rsplit(":", 1)[1]).returncode == 0
        assert stray.wait(5) == -signal.SIGTERM
    assert not any(process.alive(identity) for identity in running)
    assert terminal.status()["gateway"] == gateway


@pytest.mark.parametrize(
    "command",
    [
        ("chaos", "coordinator-crash", "--runtime", "local", "--seed", "1"),
        pytest.param(("bench", "--protocol", "2pc", "--duration", "20"), marks=pytest.mark.slow),
        pytest.param(("demo",), marks=pytest.mark.slow),
        pytest.param(("up", "--port", "0"), marks=pytest.mark.slow),
        pytest.param(("up", "--port", "0", "--detach"), marks=pytest.mark.slow),
    ],
    ids=lambda command: " ".join(command[:1] + command[-1:]),
)
def test_a_killed_command_leaves_no_process_and_no_temporary_folder(
    terminal: Terminal, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """SIGKILL of whatever supervises the nodes, one of which is paused, as in the middle of a fault."""
    terminal.environment["TMPDIR"] = str(tmp_path / "tmp")
    (tmp_path / "tmp").mkdir()
    started = terminal.start(*command)
    until(lambda: len(terminal.of_this_folder()) >= 7)
    supervisor = {folder.supervisor() for folder in terminal.deployments()}.pop()
    assert supervisor is not None
    running = terminal.of_this_folder()
    process.send(running[0], signal.SIGSTOP)
    process.send(supervisor, signal.SIGKILL)
    started.wait(10)
    until(lambda: not any(process.alive(identity) for identity in running))
    until(lambda: not list((tmp_path / "tmp").glob("wdm-*")))
    assert terminal.of_this_folder() == []


@pytest.mark.slow
def test_a_node_that_dies_while_nothing_can_be_written_is_started_again(terminal: Terminal) -> None:
    """A limit of zero bytes for each file that the supervisor writes: what a full disk does, without privileges."""
    assert terminal.wdm("up", "--detach", "--port", "0", "--respawn-after-s", "0.3").returncode == 0
    supervisor = json.loads((terminal.folder / ".wdm/deployment.json").read_text())["supervisor"]
    before = terminal.nodes()["stock-1"].pid
    assert before is not None
    limits = resource.prlimit(supervisor, resource.RLIMIT_FSIZE)
    resource.prlimit(supervisor, resource.RLIMIT_FSIZE, (0, limits[1]))
    os.kill(before, signal.SIGKILL)
    until(lambda: terminal.nodes()["stock-1"].state == "down")
    answer = terminal.wdm("status")
    assert (answer.returncode, "stock-1 is down" in answer.stderr) == (4, True), answer.stderr
    resource.prlimit(supervisor, resource.RLIMIT_FSIZE, limits)
    until(lambda: terminal.nodes()["stock-1"].state == "running")
    assert terminal.status()["troubles"] == []
    log = (terminal.folder / ".wdm/logs/supervisor.log").read_text()
    assert "is written again" in log


@pytest.mark.slow
def test_stores_of_another_format_are_refused_at_the_start(terminal: Terminal) -> None:
    """`wdm down` keeps the data; the next `wdm up` may be of another version. Quick: `tests/conformance/test_store_format.py`."""
    assert terminal.wdm("up", "--detach", "--port", "0").returncode == 0
    deployment = json.loads((terminal.folder / ".wdm/deployment.json").read_text())
    with redis.Redis.from_url(deployment["store_urls"]["stock"]) as store:
        assert store.get("format") == b"3"
        store.set("format", "1")
    assert terminal.wdm("down").returncode == 0
    answer = terminal.wdm("up", "--detach", "--port", "0")
    assert answer.returncode == 4
    assert re.search(
        r"^error: stock-1 ended before it served: error: the store at 127.0.0.1:\d+ contains data of format '1', "
        r"and this wdm reads format 3: give it an empty store",
        answer.stderr,
        re.MULTILINE,
    ), answer.stderr
    assert terminal.of_this_folder() == []


@pytest.mark.slow
def test_status_reports_a_supervisor_that_stands_still(terminal: Terminal) -> None:
    up = terminal.up()
    up.send_signal(signal.SIGSTOP)
    try:
        answer = terminal.wdm("status")
        assert (answer.returncode, "is paused" in answer.stderr) == (4, True), answer.stderr
    finally:
        up.send_signal(signal.SIGCONT)
    assert terminal.status()["supervised"] is True
