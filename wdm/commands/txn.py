"""`wdm txn`: the unfinished transactions, and the way to end one by hand."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from harness.runtimes.deployment.state import StateFolder
from protocols.errors import UsageError
from wdm import ui
from wdm.exits import OK
from wdm.options import as_json, deployment, hint, option, running
from wdm.parameters import Text

if TYPE_CHECKING:
    from harness.runtimes.admin import AdminClient

COLUMNS = ("txn", "service", "state", "subject", "since_ms")


@click.group()
def txn() -> None:
    """List, show and resolve unfinished transactions."""


@txn.command("list")
@deployment
@as_json
@option("--ended", is_flag=True, help="List the last ended transactions instead, where the protocol keeps a log.")
def list_(folder: StateFolder, as_json: bool, ended: bool) -> int:
    """List the unfinished transactions of each service."""
    operator = _operator(folder)
    rows = asyncio.run(operator.ended() if ended else operator.unfinished())
    _print(rows, as_json)
    ui.next_step(f"`wdm txn show{hint(folder)} {rows[0]['txn']}`" if rows else f"`wdm status{hint(folder)}`")
    return OK


@txn.command()
@deployment
@as_json
@click.argument("transaction", type=Text(), metavar="TXN")
def show(folder: StateFolder, transaction: str, as_json: bool) -> int:
    """Show the records of one transaction in each service.

    A protocol with a log of its transactions adds each request, answer and compensation.
    """
    rows = asyncio.run(_operator(folder).show(transaction))
    if not rows:
        raise UsageError(f"no service knows a transaction {transaction!r}; see `wdm txn list{hint(folder)}`")
    _print(rows, as_json)
    if not as_json:
        for row in rows:
            _print_log(row.get("log", []))
    ui.next_step(f"`wdm txn resolve{hint(folder)} {transaction}` ends it if it is unfinished")
    return OK


@txn.command()
@deployment
@as_json
@click.argument("transaction", type=Text(), metavar="TXN")
def resolve(folder: StateFolder, transaction: str, as_json: bool) -> int:
    """End a transaction now.

    A transaction without a decision is aborted; a decision is sent to the participants again.
    """
    answers = asyncio.run(_operator(folder).resolve(transaction))
    taken = [service for service, resolved in answers.items() if resolved]
    if not taken:
        raise UsageError(f"no service has an unfinished transaction {transaction!r}; see `wdm txn list{hint(folder)}`")
    if as_json:
        ui.document(answers)
    else:
        click.echo(f"{transaction}: taken up by {', '.join(taken)}")
    ui.next_step(f"`wdm txn show{hint(folder)} {transaction}`")
    return OK


def _operator(folder: StateFolder) -> "AdminClient":
    from harness.runtimes.admin import AdminClient  # noqa: PLC0415 - an HTTP client, once a shop runs

    view = running(folder)
    return AdminClient(view.nodes, view.deployment.secret)


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        ui.document(rows)
    else:
        ui.table(COLUMNS, [[row.get(column) for column in COLUMNS] for row in rows])


def _print_log(log: list[dict[str, Any]]) -> None:
    if not log:
        return
    began_ms = log[0]["at_ms"]
    click.echo(f"\nbegan at {datetime.fromtimestamp(began_ms / 1000, UTC).isoformat(timespec='milliseconds')}\n")
    lines = [(line["at_ms"] - began_ms, line["what"], line["branch"], line["why"]) for line in log]
    ui.table(("after_ms", "what", "branch", "why"), lines)
