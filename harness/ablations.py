"""The ablation table of `docs/ablations.md`: `python -m harness.ablations` writes it to stdout, `make docs` into the file.

Every safeguard of every protocol is taken out once. A column is a title and a function of a row; a test compares the file
with what this says today.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from harness.chaos.hunt import Catch, hunt
from harness.explore.search import Found
from harness.explore.suite import Question, worst
from protocols.core import Safeguard
from protocols.registry import load, names

HEAD = """# Ablations

A safeguard is a rule that keeps a protocol safe. Each is taken out once, and then found missing: by `wdm check`, which
visits every state and shows the shortest way to one where a promise is broken, and by the simulator. What cannot be found
missing is either useless or untested.

`wdm check --protocol PROTOCOL --ablate SAFEGUARD` does one line of this table again, and shows the way. *Steps* is the length of
the shortest way, *states* what the search visited until it had it, in all cases together. The promises are told apart in
[harness/explore/promises.py](../harness/explore/promises.py); *stuck* is a state from which something never ends. *Seed* is
the first seed of the first scenario in which the simulator sees it, *runs* how many it took in all
([harness/chaos/hunt.py](../harness/chaos/hunt.py)): `wdm chaos SCENARIO --runtime sim --seed SEED --ablate SAFEGUARD`
does it again. Made by `make docs`.
"""


@dataclass(frozen=True)
class Row:
    protocol: str
    safeguard: Safeguard

    @cached_property
    def answers(self) -> tuple[Found, ...]:
        return tuple(Question(self.protocol, ablate=(self.safeguard.name,)).answers())

    @property
    def found(self) -> Found:
        found = worst(self.answers)
        assert found is not None, f"{self.protocol} without {self.safeguard.name}: nothing breaks"
        return found

    @cached_property
    def catch(self) -> Catch:
        catch = hunt(self.protocol, self.safeguard.name)
        assert catch is not None, f"{self.protocol} without {self.safeguard.name}: the simulator sees nothing"
        return catch


Column = tuple[str, Callable[[Row], object]]
COLUMNS: tuple[Column, ...] = (
    ("without", lambda row: f"`{row.safeguard.name}`: {row.safeguard.summary}"),
    ("what is open then", lambda row: row.safeguard.opens),
    ("seen in", lambda row: row.found.case.name),
    ("broken promise", lambda row: row.found.promise),
    ("steps", lambda row: len(row.found.path)),
    ("states", lambda row: sum(found.states for found in row.answers)),
    ("seed", lambda row: f"`{row.catch.scenario}` {row.catch.seed}"),
    ("runs", lambda row: row.catch.runs),
)


def rows() -> Iterator[Row]:
    """One for each safeguard of each protocol, in their order."""
    for name in names():
        yield from (Row(name, safeguard) for safeguard in load(name).safeguards)


def line(row: Row) -> str:
    """The row as it stands in the table."""
    return _line(str(value(row)) for _, value in COLUMNS)


def render() -> str:
    """The whole page."""
    parts = [HEAD]
    for name in names():
        mine = [row for row in rows() if row.protocol == name]
        if mine:
            titles = [title for title, _ in COLUMNS]
            parts.append(
                "\n".join([f"## {name}", "", _line(titles), _line("---" for _ in titles), *map(line, mine)]) + "\n"
            )
    return "\n".join(parts)


def _line(cells: Iterator[str] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(render())
