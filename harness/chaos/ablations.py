"""The ablation table of `docs/ablations.md`: `python -m harness.chaos.ablations` writes it to stdout, `make docs` into the file.

The table has a row for each safeguard of each protocol. A column is a title and a function of a row; a test compares the
file with the output of this module.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from harness.chaos.hunt import Detection, grounds_for, hunt
from harness.explore.search import SearchResult
from harness.explore.suite import ModelCheck, worst
from harness.report.text_table import markdown_line
from protocols import copies
from protocols.claims import Safeguard
from protocols.registry import load, names

HEAD = """# Ablations

A safeguard is a rule that keeps a protocol safe. This page removes each safeguard once and shows
how the violation is found: by `wdm check`, which visits every state and returns the shortest path
to a violated invariant, and by the simulator. A safeguard without a violation is either useless or
untested.

`wdm check --protocol PROTOCOL --ablate SAFEGUARD`, with the options in brackets, repeats one line
of this table and prints the path. *Steps* is the length of the shortest path, *states* the number
of visited states in all cases together. The invariants are defined in
[harness/explore/invariants.py](../harness/explore/invariants.py); *unfinished* is a state
from which a transaction never ends. *Seed* is the first seed of the first scenario in which the
simulator finds a violation, *runs* the number of runs until then
([harness/chaos/hunt.py](../harness/chaos/hunt.py)):
`wdm chaos SCENARIO --seed SEED --ablate SAFEGUARD` repeats it. Where *seed* is `none`, the
violation takes a command that the store executes once more, long after its sender has closed the
connection: the search has such copies, and no run of the simulator had one at the wrong moment.
Where it is `-`, two copies of a request are under way at once: the simulator's gateway sends a copy
only after the death of the instance that received the one before.
*Real processes* has the scenario and seed in which `python -m harness.chaos.hunt` found a violation
with `--runtime local`, where the same seed need not find it each time. The last section has the
rules of [protocols/copies](../protocols/copies/__init__.py), the same under every protocol; its
rows are those of `--protocol lua`. `make docs` writes this page.
"""


REAL: dict[tuple[str, str], str] = {
    ("2pc", "unanimous"): "`kill-one-at-a-time` 1",
    ("2pc", "force-prepare"): "`kill-one-at-a-time` 1",
    ("2pc", "force-commit"): "`store-cut` 1",
    ("2pc", "force-committed"): "`store-cut` 1",
    ("2pc", "end-after-acks"): "`kill-one-at-a-time` 1",
    ("2pc", "fence-inquiry"): "`kill-one-at-a-time` 1",
    ("2pc", "replay-verdict"): "`kill-one-at-a-time` 1",
    ("2pc", "refuse-stale"): "`everything` 1",
    ("2pc", "locks"): "`hot-item` 1",
    ("2pc", "guard"): "`hot-item` 1",
    ("2pc", "escrow-guard"): "`hot-item` 1",
    ("2pc", "escrow-record"): "`store-cut` 2",
    ("2pc", "escrow-return"): "`slow-log` 2",
    ("lua", "check-first"): "`store-cut` 1",
    ("lua", "force-checkout"): "`kill-one-at-a-time` 1",
    ("2pc", "order-lock"): "`slow-log` 2",
    ("2pc", "deadlock-policy"): "none in 11 runs: the deadline ends the wait before a violation",
    ("saga", "start-record"): "`kill-one-at-a-time` 2",
    ("saga", "force-step"): "`hot-item` 1",
    ("saga", "force-compensation"): "none in 14 runs",
    ("saga", "force-confirm"): "`left-for-dead` 1",
    ("saga", "same-life"): "`set-anew` 1",
}
"""The scenario and seed of the violation on real processes in the last run of `python -m harness.chaos.hunt`."""


COPIED = "stores with three copies"
COPIED_BY = "lua"
"""The protocol in the rows of `COPIED`. Their rules are below the protocol, and this one has all of its data in one store."""


@dataclass(frozen=True)
class AblationRow:
    """One safeguard of one protocol; each column is computed when it is read. `section` is its heading on the page."""

    protocol: str
    safeguard: Safeguard
    section: str

    @property
    def unsearched(self) -> str:
        """The reason why the search does not have the safeguard."""
        return "not in the search: it has " + ("one server a store" if self.section == COPIED else "no gateway")

    @cached_property
    def results(self) -> tuple[SearchResult, ...]:
        if not self.safeguard.searched:
            return ()
        return tuple(ModelCheck(self.protocol, dict(self.safeguard.under), (self.safeguard.name,)).results())

    @property
    def under(self) -> str:
        """The protocol options that the safeguard belongs to, as flags in brackets."""
        flags = " ".join(f"--{name} {value}" for name, value in self.safeguard.under)
        return f" (`{flags}`)" if flags else ""

    @property
    def broken(self) -> SearchResult:
        broken = worst(self.results)
        assert broken is not None, f"{self.protocol} without {self.safeguard.name}: no invariant is violated"
        return broken

    @cached_property
    def detection(self) -> Detection | None:
        return hunt(self.protocol, self.safeguard.name)


def _seed(row: AblationRow) -> str:
    return f"`{row.detection.scenario}` {row.detection.seed}" if row.detection else "none"


def _runs(row: AblationRow) -> int:
    return row.detection.runs if row.detection else sum(count for _, count in grounds_for(row.safeguard.name))


Column = tuple[str, Callable[[AblationRow], object]]
SEARCHED: tuple[Column, ...] = (
    ("safeguard", lambda row: f"`{row.safeguard.name}`: {row.safeguard.summary}{row.under}"),
    ("fault without it", lambda row: row.safeguard.opens),
    ("case", lambda row: row.broken.case.name if row.results else row.unsearched),
    ("violated invariant", lambda row: row.broken.invariant if row.results else "-"),
    ("steps", lambda row: len(row.broken.path) if row.results else "-"),
    ("states", lambda row: sum(result.states for result in row.results) or "-"),
)
COLUMNS: tuple[Column, ...] = (
    *SEARCHED,
    ("seed", lambda row: _seed(row) if row.safeguard.simulated else "-"),
    ("runs", lambda row: _runs(row) if row.safeguard.simulated else "-"),
    ("real processes", lambda row: REAL.get((row.protocol, row.safeguard.name), "not searched yet")),
)


def rows() -> Iterator[AblationRow]:
    """Yield a row for each safeguard of each protocol, in their order, then one for each of stores with copies."""
    for name in names():
        own = (safeguard for safeguard in load(name).safeguards if safeguard not in copies.SAFEGUARDS)
        yield from (AblationRow(name, safeguard, name) for safeguard in own)
    yield from (AblationRow(COPIED_BY, safeguard, COPIED) for safeguard in copies.SAFEGUARDS)


def cells(row: AblationRow, columns: tuple[Column, ...] = COLUMNS) -> list[str]:
    """Return the row as texts."""
    return [str(value(row)) for _, value in columns]


def render() -> str:
    """Return the whole page."""
    parts = [HEAD]
    titles = [title for title, _ in COLUMNS]
    for section in dict.fromkeys(row.section for row in rows()):
        lines = [markdown_line(cells(row)) for row in rows() if row.section == section]
        table = [f"## {section}", "", markdown_line(titles), markdown_line("---" for _ in titles), *lines]
        parts.append("\n".join(table) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(render())
