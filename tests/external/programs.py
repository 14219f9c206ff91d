"""Little programs that stand for the nodes of a foreign shop, and their end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.runtimes.deployment import process

SLEEPER = "import time\nwhile True: time.sleep(60)\n"
MASTER = """
import os, time
for _ in range(2):
    if os.fork() == 0:
        while True: time.sleep(60)
open(FILE, "w").write(str(os.getpid()))
while True: os.wait()
"""
SUPERVISOR = """
import os, subprocess, sys, time
while True:
    child = subprocess.Popen([sys.executable, "-c", NODE])
    open(FILE + ".new", "w").write(str(child.pid))
    os.rename(FILE + ".new", FILE)
    child.wait()
    time.sleep(0.1)
"""
LISTENER = """
import socket, time
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", PORT)); server.listen()
MARK = "MARKED"
open(FILE, "w").write("ready")
while True: time.sleep(60)
"""


def program(text: str, **values: object) -> list[str]:
    """The command of a little program; `values` replace its names in capitals."""
    for name, value in values.items():
        text = text.replace(name, repr(value))
    return [sys.executable, "-c", text]


@contextmanager
def started(command: list[str], *, group: bool = True) -> Iterator[int]:
    """Run a command, and end it with everything that is in its session."""
    child = subprocess.Popen(command, start_new_session=group)
    try:
        yield child.pid
    finally:
        if group:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        child.kill()
        child.wait()


def end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_until(true: Callable[[], object], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def runs(pid: int) -> bool:
    return process.identify(pid) is not None


def state(pid: int) -> str:
    stat = process.fields(pid)
    return stat[0] if stat else "gone"


def pid_in(file: Path) -> int:
    wait_until(lambda: file.exists() and file.read_text())
    return int(file.read_text())
