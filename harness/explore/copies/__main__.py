"""Search the cases of a store with three copies: `python -m harness.explore.copies --help`."""

import sys

import click

from harness.explore.copies.search import CASES, CopiesResult, CopiesSearch
from protocols.copies import SAFEGUARDS
from protocols.core import Config

EXIT_HOLDS, EXIT_VIOLATED, EXIT_LIMIT = 0, 1, 3


@click.command()
@click.option(
    "--ablate", type=click.Choice([rule.name for rule in SAFEGUARDS]), multiple=True, help="Rule to switch off."
)
@click.option("--case", "only", default="", help="Search the cases whose name contains this.")
@click.option(
    "--seconds", type=click.FloatRange(0.1, 86_400), default=300.0, show_default=True, help="Limit of a case."
)
def main(ablate: tuple[str, ...], only: str, seconds: float) -> None:
    """Visit every state of small cases, or show the shortest path to a loss or to a stale read.

    Exit code 0: every state was visited and nothing is lost; 1: the path is shown; 3: the limit ended a search.
    """
    cases = [case for case in CASES if only in case.name]
    if not cases:
        raise click.UsageError(f"--case {only!r} is in no name of: {'; '.join(case.name for case in CASES)}")
    limited = False
    for case in cases:
        result = CopiesSearch(case, Config(ablated=frozenset(ablate)), seconds=seconds).run()
        click.echo(_line(result))
        if result.violation:
            for number, step in enumerate(result.path, start=1):
                click.echo(f"  {number:2}. {step}")
            sys.exit(EXIT_VIOLATED)
        limited |= bool(result.limit)
    sys.exit(EXIT_LIMIT if limited else EXIT_HOLDS)


def _line(result: CopiesResult) -> str:
    ended = result.violation or (f"the limit of {result.limit} ended the search" if result.limit else "holds")
    return f"{result.case.name}: {ended} ({result.states} states, {result.seconds:.1f} s)"


if __name__ == "__main__":
    main()
