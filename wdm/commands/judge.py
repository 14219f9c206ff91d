"""`wdm judge`: the examination of a shop that somebody else wrote, through its public API."""

import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from harness.judge import sheet
from harness.judge.adapter import behind
from harness.judge.conduct import chosen, conduct
from harness.judge.examination import Examination, Limits
from harness.judge.parts import PARTS
from harness.judge.settings import LEVELS, RANGES_S, seconds
from harness.judge.shop import PREFIXES, addresses, over_http
from harness.judge.urls import read_urls
from harness.run.folder import RunFolder
from harness.runtimes.external.parse import nodes_from
from harness.runtimes.external.runtime import ExternalRuntime
from wdm import judge_batch, ui
from wdm.exits import CODES, INTERRUPTED
from wdm.options import as_json, common, option, runs_folder
from wdm.parameters import MOST_SEED, Location, Number, Text, Whole

LARGEST_SEED = 2**31


class Duration(Text):
    """A time such as `90`, `90s`, `5m` or `1h`, in seconds, in the range of a setting."""

    name = "time"

    def __init__(self, setting: str) -> None:
        self._range_s = RANGES_S[setting]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return seconds(value, *self._range_s)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@common
@click.argument("url", type=Text(), required=False)
@option("--batch", type=Location(), metavar="FILE", help="TOML file with a table for each of several shops.")
@option("--urls", type=Location(), metavar="FILE", help="JSON file with the addresses, as the course's `urls.json`.")
@option("--orders-url", help="Address of the order service, if no gateway serves all three.")
@option("--stock-url", help="Address of the stock service.")
@option("--payment-url", help="Address of the payment service.")
@option(
    "--adapter",
    type=Location(exists=True),
    metavar="FILE",
    help="Python file with an adapter for an API of another shape.",
)
@option("--compose", multiple=True, metavar="FILE|PROJECT", help="Compose project whose containers may be killed.")
@option("--pid", multiple=True, metavar="NAME=PID", help="Process that may be killed; may be repeated.")
@option("--pidfile", multiple=True, metavar="NAME=FILE", help="File with the id of a process that may be killed.")
@option("--start-cmd", multiple=True, metavar="NAME=COMMAND", help="Command that starts a killed node again.")
@option("--kill-cmd", multiple=True, metavar="NAME=COMMAND", help="Command that kills a node.")
@option("--part", multiple=True, help=f"Part to examine; may be repeated ({', '.join(PARTS)}).  [default: all]")
@option(
    "--budget",
    type=Duration("budget"),
    default="2m",
    show_default=True,
    help="Time of the whole examination.",
)
@option(
    "--settle",
    type=Duration("settle"),
    default="10s",
    show_default=True,
    help="Time that the shop may take to become consistent.",
)
@option("--answer", type=Duration("answer"), default="15s", show_default=True, help="Time limit of one answer.")
@option("--repeat", type=Whole(1, 1_000), default=2, show_default=True, help="Number of kills of each node.")
@option(
    "--isolation",
    type=click.Choice(LEVELS),
    default="read-committed",
    show_default=True,
    help="Isolation level that the shop claims.",
)
@option(
    "--p99-ms",
    type=Number(1, 600_000),
    default=500,
    show_default=True,
    help="Latency limit of the load part in milliseconds.",
)
@option("--name", help="Name of the shop on the grade sheet.  [default: its address]")
@option("--seed", type=Whole(0, MOST_SEED), help="Seed of every random choice.  [default: random, and printed]")
@runs_folder("Folder for the folder of the examination.")
@as_json
def judge(url: str | None, runs_dir: Path, as_json: bool, **given: Any) -> int:
    """Examine a shop of your own, in any language.

    URL is the gateway of a running shop; `--batch` starts and examines several. The result is a grade sheet: what passed, what
    failed, and what to look at first. The parts that kill nodes need to know how: `--compose`, `--pid` or `--kill-cmd`. Nothing
    else is touched, and what was killed is started again. Exit code 0: every part passed; 1: a defect was found; 3:
    inconclusive; 4: the environment failed.
    """
    seed = given["seed"] if given["seed"] is not None else secrets.randbelow(LARGEST_SEED)
    limits = Limits(given["budget"], given["answer"], given["settle"], given["repeat"], given["p99_ms"])
    parts = chosen(given["part"])
    if given["batch"]:
        return judge_batch.report(judge_batch.examine(given["batch"], runs_dir, given, limits, seed), as_json=as_json)
    adapter = given["adapter"]
    separate = _separate(given)
    urls = {} if adapter and not url and not any(separate.values()) else addresses(url, separate)
    name = given["name"] or (adapter.stem if adapter else urls["orders"])
    folder = RunFolder.make(runs_dir, f"judge-{_file_name(name)}-{seed}")
    nodes = nodes_from(
        given["pid"], given["pidfile"], given["start_cmd"], given["kill_cmd"], given["compose"], folder.path
    )
    runtime = ExternalRuntime(urls.get("orders", name), nodes)
    examination = Examination(
        shop=behind(adapter, runtime) if adapter else over_http(urls, runtime),
        folder=folder.path,
        seed=seed,
        limits=limits,
        isolation=given["isolation"],
        say=ui.progress,
    )
    ui.progress(f"seed {seed}: {name}, {limits.budget_s:g} s; folder {folder.path}")
    return report(conduct(examination, name, parts, folder), folder, as_json=as_json)


def _separate(given: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the address of each service: its option, else the one of the file."""
    read = read_urls(given["urls"]) if given["urls"] else {}
    return {prefix: given[f"{prefix}_url"] or read.get(prefix) for prefix in PREFIXES}


def report(result: sheet.Sheet, folder: RunFolder, *, as_json: bool) -> int:
    """Print the sheet, and return the exit code."""
    code = INTERRUPTED if result.interrupted else CODES[result.verdict]
    if as_json:
        ui.document({**json.loads(folder.results.read_text()), "folder": str(folder.path), "exit": code})
    else:
        click.echo(sheet.text(result), nl=False)
    ui.next_step(f"open {folder.page}, or `wdm check-history {folder.path}/NAME.ndjson` for one round")
    return code


def _file_name(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9.]+", "-", name.partition("://")[2] or name).strip("-")[:40] or "shop"
