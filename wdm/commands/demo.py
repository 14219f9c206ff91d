"""`wdm demo`: a shop that survives the crash of each of its nodes."""

import asyncio
from typing import TYPE_CHECKING

import click

from harness.report.text import READERS
from wdm import ui
from wdm.exits import OK, VIOLATED
from wdm.options import common, option
from wdm.parameters import Whole

if TYPE_CHECKING:
    from harness.demo import Rush, Siege


@click.command()
@common
@option("--protocol", default="2pc", show_default=True, help="Protocol to run; `wdm protocols` lists them.")
@click.option("--rounds", type=Whole(1, 100), default=1, show_default=True, help="Number of kills of each node.")
def demo(protocol: str, rounds: int) -> int:
    """Kill every node of a shop under load and judge the run.

    Before that, a thousand clients check out one item at once. Exit code 0: all claims held; 1: a claim was violated.
    """
    from harness import demo as demonstration  # noqa: PLC0415 - a deployment and its clients

    ui.name_leftovers()
    rush, siege = asyncio.run(demonstration.run(protocol, ui.say, rounds))
    ui.table(("", "1,000 at once", "every node killed"), _rows(rush, siege))
    holds = rush.holds and siege.holds
    click.echo(f"\nverdict: {'holds' if holds else 'violated'}")
    ui.next_step("`wdm up` starts a shop of your own, `make test` shows why to believe it")
    return OK if holds else VIOLATED


def _rows(rush: "Rush", siege: "Siege") -> list[tuple[str, object, object]]:
    answers = [(words, rush.told[outcome], siege.told[outcome]) for outcome, words in READERS.items()]
    back = [(f"first success after {name}", None, f"{after:.2f} s") for name, after in siege.recovered_s.items()]
    return [
        ("sold", rush.sold, siege.sold),
        ("spent", rush.spent, siege.spent),
        ("orders paid", rush.paid, siege.paid),
        *answers,
        ("false acknowledgements", None, siege.untrue),
        ("unfinished", None, siege.stuck),
        *back,
    ]
