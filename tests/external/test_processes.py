"""Processes that somebody else has started: killed with all below them, followed, and put back."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from harness import faults
from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.process import Identity
from harness.runtimes.external import process as external_process
from harness.runtimes.external.parse import nodes_from
from harness.runtimes.external.runtime import ExternalRuntime
from protocols.errors import UsageError
from tests.external.foreign import free_port, inject, shop, states, until
from tests.external.programs import (
    LISTENER,
    MASTER,
    SLEEPER,
    SUPERVISOR,
    children,
    end,
    pid_in,
    program,
    runs,
    started,
    state,
    wait_until,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes by pid need /proc")


async def test_a_crash_kills_a_master_with_its_workers_and_a_respawn_is_followed(tmp_path: Path) -> None:
    file, own = tmp_path / "pid", tmp_path / "own"
    _, _, master = program(MASTER, FILE=str(own))
    with started(program(SUPERVISOR, NODE=master, FILE=str(file))):
        first = pid_in(file)
        wait_until(lambda: len(children(first)) == 2)
        workers = children(first)
        async with shop(tmp_path, pidfiles=(f"order={file}",)) as runtime:
            assert [(node.pid, node.kind) for node in runtime.nodes()] == [(first, "service")]
            for _ in range(2):  # the second kill meets the process that the supervisor has started
                before = runtime.nodes()[0].pid
                assert before is not None
                await inject(runtime, "crash", "order")
                assert not runs(before)
                await until(lambda before=before: runtime.nodes()[0].pid not in (None, before))
            assert not any(map(runs, workers))
            assert states(runtime) == {"order": "running"}


async def test_a_respawn_is_recognized_by_parent_and_command_line_and_its_sibling_is_not_touched(
    tmp_path: Path,
) -> None:
    _, _, node = program(SLEEPER)
    one, other = tmp_path / "one", tmp_path / "other"
    both = (
        "import subprocess, sys, threading\nfor text in TEXTS: threading.Thread(target=exec, args=(text, {})).start()"
    )
    texts = [program(SUPERVISOR, NODE=node, FILE=str(file))[2] for file in (one, other)]
    with started(program(both, TEXTS=texts)):
        first, sibling = pid_in(one), pid_in(other)
        async with shop(tmp_path, pids=(f"stock={first}",)) as runtime:
            await inject(runtime, "crash", "stock")
            await until(lambda: states(runtime) == {"stock": "running"})
            assert runtime.nodes()[0].pid == pid_in(one) != first
            assert runs(sibling)


async def test_a_process_of_another_parent_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    parent = "import subprocess, time\nchild = subprocess.Popen(COMMAND)\nopen(FILE, 'w').write(str(child.pid))\n"
    with started(program(parent + "child.wait()\ntime.sleep(99)", COMMAND=program(SLEEPER), FILE=str(file))):
        node = nodes_from((f"order={pid_in(file)}",), (), (), (), (), tmp_path)[0]
        wait_until(lambda: node.node().state == "running")
        node.refresh()
        node.kill()
        with started(program(SLEEPER)) as twin:
            wait_until(lambda: "time.sleep" in Path(f"/proc/{twin}/cmdline").read_text())
            node.refresh()
            assert node.node().state == "down"


async def test_two_nodes_alike_that_end_together_do_not_become_one(tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "other"]
    both = "import threading\nfor text in TEXTS: threading.Thread(target=exec, args=(text, {})).start()"
    with started(program(both, TEXTS=[program(SUPERVISOR, NODE=SLEEPER, FILE=str(file))[2] for file in files])):
        first = {pid_in(file) for file in files}
        pids = tuple(f"order-{number}={pid}" for number, pid in enumerate(first))
        async with shop(tmp_path, pids=pids) as runtime:
            await inject(runtime, "crash", "all")
            await until(lambda: set(states(runtime).values()) == {"running"})
            assert {node.pid for node in runtime.nodes()} == {pid_in(file) for file in files}


def test_a_pidfile_of_an_ended_process_names_no_other_one_with_its_pid(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with started(program(SLEEPER)) as pid:
        file.write_text(f"{pid}\n")
        source = external_process.PidFileSource(file)
        present = source.first()
        assert present is not None
        source.seen(Identity(pid, "an earlier start"))
        assert list(source.next(started_by_us=False)) == []
        file.unlink()
        file.write_text(f"{pid}\n")  # by its new process
        os.utime(file, ns=(1, 1))
        assert list(source.next(started_by_us=False)) == [present]


async def test_a_start_command_brings_back_a_node_on_its_port_and_it_outlives_the_runtime(tmp_path: Path) -> None:
    port, ready = free_port(), tmp_path / "ready"
    script = tmp_path / "node.py"
    script.write_text(program(LISTENER, PORT=port, FILE=str(ready), MARKED="first")[2])
    with started([sys.executable, str(script)]) as first:
        wait_until(ready.exists)
        command = f"payment={sys.executable} {script} again & echo started"
        async with shop(tmp_path, pids=(f"payment={first}",), start_cmds=(command,)) as runtime:
            begun, _ = await inject(runtime, "crash", "payment", for_s=9)
            assert states(runtime) == {"payment": "down"}
            await asyncio.sleep(1.5)  # longer than a node that shall come back is waited for
            assert states(runtime) == {"payment": "down"}
            await faults.end(runtime, begun)
            await until(lambda: states(runtime) == {"payment": "running"})
            second = runtime.nodes()[0].pid
            assert second is not None
        try:
            assert second != first
            assert runs(second)
            assert os.getsid(second) != os.getsid(0)
            assert (tmp_path / "payment.log").read_text() == "started\n"
        finally:
            end(second)


@pytest.mark.slow
async def test_a_crash_without_an_end_is_followed_by_the_start_command(tmp_path: Path) -> None:
    with started(program(SLEEPER)) as first:
        command = f"order=exec {sys.executable} -c 'import time; time.sleep(99)'"  # another command line than before
        async with shop(tmp_path, pids=(f"order={first}",), start_cmds=(command,)) as runtime:
            await inject(runtime, "crash", "order")
            assert states(runtime) == {"order": "down"}
            await until(lambda: states(runtime) == {"order": "running"}, 20.0)
            second = runtime.nodes()[0].pid
        assert second is not None
        end(second)


async def test_a_node_that_nobody_starts_again_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_process, "RESPAWN_WITHIN_S", 0.3)
    with started(program(SLEEPER)) as pid:
        runtime = ExternalRuntime("", nodes_from((f"order={pid}",), (), (), (), (), tmp_path))
        await runtime.up()
        await inject(runtime, "crash", "order")
        with pytest.raises(EnvironmentFailure, match=r"order does not come back: .* --start-cmd order=COMMAND"):
            await faults.heal_all(runtime)
        assert states(runtime) == {"order": "down"}
        with pytest.raises(EnvironmentFailure, match="order does not come back"):
            await runtime.down()
        await runtime.down()


async def test_a_pause_freezes_all_processes_of_a_node_until_its_end(tmp_path: Path) -> None:
    with started(program(MASTER, FILE=str(tmp_path / "own"))) as master:
        wait_until(lambda: len(children(master)) == 2)
        family = [master, *children(master)]
        async with shop(tmp_path, pids=(f"order={master}",)) as runtime:
            begun, _ = await inject(runtime, "pause", "order", for_s=9)
            assert states(runtime) == {"order": "paused"}
            assert [state(pid) for pid in family] == ["T", "T", "T"]
            await faults.end(runtime, begun)
            assert states(runtime) == {"order": "running"}
            assert not {state(pid) for pid in family} - {"S", "R"}


async def test_a_zombie_is_down(tmp_path: Path) -> None:
    parent = "import subprocess, sys, time\nchild = subprocess.Popen([sys.executable, '-c', NODE])\n"
    parent += "open(FILE, 'w').write(str(child.pid))\ntime.sleep(99)"
    file = tmp_path / "pid"
    with started(program(parent, NODE=SLEEPER, FILE=str(file))):
        pid = pid_in(file)
        runtime = ExternalRuntime("", nodes_from((f"order={pid}",), (), (), (), (), tmp_path))
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: state(pid) == "Z")
        assert states(runtime) == {"order": "down"}
        with pytest.raises(EnvironmentFailure, match=r"not running: order \(down\); start the whole shop first"):
            await runtime.up()


async def test_a_shop_without_nodes_can_be_judged_and_not_be_broken() -> None:
    runtime = ExternalRuntime("http://127.0.0.1:1", [])
    await runtime.up()
    assert runtime.capabilities == frozenset()
    assert faults.refuse(runtime, faults.fault("crash")) == "crash needs signals, which this runtime does not have"
    await runtime.down()


@pytest.mark.parametrize("kind", [name for name, kind in faults.KINDS.items() if kind.needs != {"signals"}])
async def test_every_fault_that_needs_more_than_signals_is_refused(tmp_path: Path, kind: str) -> None:
    with started(program(SLEEPER)) as pid:
        async with shop(tmp_path, pids=(f"order={pid}",)) as runtime:
            why = faults.refuse(runtime, faults.fault(kind))
            assert why is not None
            assert "which this runtime does not have" in why


# ---------------------------------------------------------------- commands


async def test_a_node_of_commands_is_killed_and_started_by_them_and_not_paused(tmp_path: Path) -> None:
    said = tmp_path / "said"
    commands = {"kill": f"echo kill >> {said}", "start": f"echo start >> {said}"}
    async with shop(
        tmp_path, kill_cmds=(f"order={commands['kill']}",), start_cmds=(f"order={commands['start']}",)
    ) as runtime:
        begun, _ = await inject(runtime, "crash", "order", for_s=9)
        assert states(runtime) == {"order": "down"}
        await faults.end(runtime, begun)
        await until(lambda: states(runtime) == {"order": "running"})
        await inject(runtime, "crash", "order")
        why = faults.refuse(runtime, faults.fault("pause", ["order"]))
        assert why == "pause: order does not take the order to pause, only to kill"
    assert said.read_text().split() == ["kill", "start"] * 2


async def test_a_node_that_a_later_fault_keeps_down_is_not_started_after_an_earlier_kill(tmp_path: Path) -> None:
    async with shop(tmp_path, kill_cmds=("order=true",), start_cmds=("order=true",)) as runtime:
        await inject(runtime, "crash", "order")
        begun, said = await inject(runtime, "crash", "order", for_s=9)
        assert said == "order was down already"
        await asyncio.sleep(1.5)
        assert states(runtime) == {"order": "down"}
        await faults.end(runtime, begun)
        await until(lambda: states(runtime) == {"order": "running"})


async def test_a_command_that_fails_is_named_with_its_last_line(tmp_path: Path) -> None:
    async with shop(tmp_path, kill_cmds=("order=echo no such container >&2; exit 3",)) as runtime:
        with pytest.raises(EnvironmentFailure, match=r"--kill-cmd order='echo .*: exit code 3: no such container"):
            await inject(runtime, "crash", "order")


# ---------------------------------------------------------------- the options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pids": ["order"]}, "--pid 'order' is not of the form NAME=PID"),
        ({"pids": ["=5"]}, "is not of the form NAME=PID"),
        ({"pids": ["order=x1"]}, "--pid order=x1 is not a number of a process"),
        ({"pids": ["order=0"]}, "is not a number of a process"),
        ({"pids": ["order=4194999"]}, "order: process 4194999 does not run"),
        ({"pids": ["order=1"]}, "wdm itself"),
        ({"pids": [f"order={os.getpid()}"]}, "wdm itself"),
        ({"pids": [f"order={os.getppid()}"]}, "wdm itself"),
        ({"pids": ["a=5", "a=6"]}, "the name 'a' is given twice"),
        ({"pidfiles": ["order=/no/such/file"]}, "does not run (or the file has no pid)"),
        ({"start_cmds": ["order=true"]}, "--start-cmd order=...: no node has this name"),
        ({"kill_cmds": ["order"]}, "--kill-cmd 'order' is not of the form NAME=COMMAND"),
        ({"pids": ["a=5"], "pidfiles": ["a=/x"]}, "the node 'a' is named by --pid already"),
        ({"pids": ["a=5"], "kill_cmds": ["a=true"]}, "the node 'a' is named by --pid or --pidfile already"),
    ],
)
def test_a_wrong_value_is_named_with_the_way_out(options: dict[str, list[str]], words: str, tmp_path: Path) -> None:
    every: dict[str, list[str]] = {"pids": [], "pidfiles": [], "start_cmds": [], "kill_cmds": [], "compose": []}
    with pytest.raises(UsageError) as caught:
        nodes_from(**{**every, **options}, logs=tmp_path)
    assert words in str(caught.value)


def test_a_process_below_another_node_is_rejected(tmp_path: Path) -> None:
    with started(program(MASTER, FILE=str(tmp_path / "own"))) as master:
        wait_until(lambda: len(children(master)) == 2)
        worker = children(master)[0]
        with pytest.raises(UsageError, match=f"process {worker} belongs to 'a' and to 'b'"):
            nodes_from((f"a={master}", f"b={worker}"), (), (), (), (), tmp_path)
