"""What the documentation says exists: every command line in it is one that `wdm` takes, every flag and metric is documented."""

import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import click
import pytest

from harness.bench.cases import SWEPT
from harness.judge.batch_file import KEYS, read_batch
from harness.judge.defects import DEFECTS
from harness.judge.examination import Limits
from harness.judge.parts import PARTS
from harness.metrics import thresholds
from harness.report.text import DURABILITY
from protocols import registry
from protocols.shop.routes import ROUTES
from protocols.shop.services import PREFIXES
from wdm import exits
from wdm.cli import wdm
from wdm.commands.bench import plan

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/api.md", "docs/bench.md", "docs/ci.md", "docs/judge-your-own.md", "docs/examples/wdm.yml")
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> Iterator[tuple[str, str]]:
    """(page, command line) of every `wdm ...` in a block or a workflow."""
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        blocks = [text] if page.endswith(".yml") else FENCE.findall(text)
        for line in (line for block in blocks for line in block.splitlines()):
            found = re.match(r"\s*(?:- )?(?:run: |script: )?(?:docker run .* )?(wdm [a-z].*)", line)
            if found:
                yield page, re.split(r"  +", found[1])[0]


ALL = list(commands())


def test_there_are_many() -> None:
    assert len([each for each in ALL if " bench" in each[1]]) >= 6


@pytest.mark.parametrize(("page", "line"), ALL, ids=[line for _, line in ALL])
def test_a_command_line_is_one_that_wdm_takes(page: str, line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    command = wdm.get_command(click.Context(wdm), name)
    assert command is not None, f"{page}: {line}"
    if isinstance(command, click.Group):
        return
    context = command.make_context(name, arguments)
    if name == "bench":
        given = {key: value for key, value in context.params.items() if key not in {"runs_dir", "as_json", "fail_if"}}
        for condition in context.params["fail_if"]:
            thresholds.parse(condition)
        assert plan(given).cases


def test_every_flag_metric_and_sweep_of_the_bench_is_documented() -> None:
    page = (ROOT / "docs/bench.md").read_text("utf-8")
    command = wdm.get_command(click.Context(wdm), "bench")
    assert command is not None
    own = {"--config", "--quiet", "--json", "--runs-dir", "--help"}
    flags = {flag for each in command.params for flag in each.opts if flag.startswith("--")} - own
    assert [flag for flag in sorted(flags) if flag not in page] == []
    assert [name for name in (*thresholds.METRICS, *SWEPT) if f"`{name}`" not in page] == []


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first column has this name, without its header."""
    lines = (ROOT / page).read_text("utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |")) + 2
    table = list(takewhile(lambda line: line.startswith("|"), lines[start:]))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_page_of_the_examination_has_every_defect_part_key_and_exit_code() -> None:
    page = "docs/judge-your-own.md"
    assert {row[0].strip("`"): row[1] for row in rows(page, "name")} == {
        name: str(defect.severity) for name, defect in DEFECTS.items()
    }
    assert [row[0].strip("`") for row in rows(page, "part")] == list(PARTS)
    assert sorted(key for row in rows(page, "key") for key in re.findall(r"`(\w+)`", row[0])) == sorted(KEYS)
    assert [int(row[0]) for row in rows(page, "exit code")] == [
        exits.OK, exits.VIOLATED, exits.USAGE, exits.UNKNOWN, exits.ENVIRONMENT, exits.INTERRUPTED,
    ]  # fmt: skip


def test_the_batch_file_of_the_page_is_one_that_wdm_reads(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/judge-your-own.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "shops.toml").write_text(text, "utf-8")
    assert [entry.name for entry in read_batch(tmp_path / "shops.toml", Limits(), "none", [])] == ["team-1", "team-2"]


def test_every_durability_is_documented_with_the_words_of_the_reports() -> None:
    page = (ROOT / "docs/api.md").read_text()
    for name, words in DURABILITY.items():
        assert f"`{name}`" in page
        assert words in page


@pytest.mark.parametrize("name", ["2pc", "saga", "lua"])
def test_the_page_of_a_protocol_states_what_a_full_disk_costs_as_its_claims_do(name: str) -> None:
    protocol = registry.load(name)
    package = protocol.roles["order"].step.__module__.split(".")[:2]
    assert "full disk" in protocol.claims(protocol.configure()).durability
    for page in (ROOT.joinpath(*package, "README.md"), ROOT / "README.md"):
        assert "full disk" in " ".join(page.read_text().split())


def test_every_route_is_in_the_interfaces_page() -> None:
    page = (ROOT / "docs/api.md").read_text("utf-8")
    assert [route for route in ROUTES if f"`{route.method} {PREFIXES[route.service]}{route.path}`" not in page] == []
