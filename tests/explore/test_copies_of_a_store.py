"""The search of a store with three copies: with all rules nothing is lost; without any of seven a short path shows a loss."""

import pytest
from click.testing import CliRunner

from harness.explore.copies.__main__ import main
from harness.explore.copies.search import CASES, CopiesResult, CopiesSearch
from protocols.copies import SAFEGUARDS
from protocols.core import Config

SMALL = {
    "an elector does not reach the primary",
    "a connection outlives two elections",
    "one of two electors reaches one copy",
}
LONG = pytest.mark.slow
FOUND = {
    "revoke": ("an elector does not reach the primary", "lost", 14, ()),
    "write-with-reads": ("a client reads at the primary that was replaced", "stale", 14, ()),
    "refuse-other-epoch": ("a connection outlives two elections", "lost", 12, ()),
    "majority": ("one of two electors reaches one copy", "lost", 17, LONG),
    "confirm": ("the primary dies", "lost", 15, LONG),
    "compare": ("the primary dies", "lost", 16, LONG),
    "follow-nobody": ("the primary comes back empty", "lost", 14, LONG),
}
"""Of each rule: the case, the kind of violation, and the length of the shortest path. `promise` needs three elections."""


def searched(name: str, *ablate: str) -> CopiesResult:
    (case,) = [case for case in CASES if case.name == name]
    return CopiesSearch(case, Config(ablated=frozenset(ablate))).run()


@pytest.mark.parametrize("name", [pytest.param(c.name, marks=() if c.name in SMALL else LONG) for c in CASES])
def test_with_all_rules_no_state_has_lost_anything(name: str) -> None:
    result = searched(name)
    assert (result.violation, result.limit) == ("", "")


@pytest.mark.parametrize("rule", [pytest.param(rule, marks=row[-1]) for rule, row in FOUND.items()])
def test_without_a_rule_the_shortest_path_to_a_loss_is_found(rule: str) -> None:
    name, kind, steps, _ = FOUND[rule]
    result = searched(name, rule)
    assert (result.violation.partition(":")[0], len(result.path)) == (kind, steps)


def test_every_rule_has_a_row_but_the_one_that_needs_a_third_election() -> None:
    assert {rule.name for rule in SAFEGUARDS} - set(FOUND) == {"promise"}


def test_the_command_shows_the_path_and_its_exit_code() -> None:
    shown = CliRunner().invoke(main, ["--ablate", "refuse-other-epoch", "--case", "outlives"])
    assert shown.exit_code == 1
    assert "a connection outlives two elections: lost: a1 counts, and copy 0 has no a1" in shown.output
    assert " 12. client a: a1 is confirmed at 0" in shown.output
    assert CliRunner().invoke(main, ["--case", "outlives"]).exit_code == 0
    refused = CliRunner().invoke(main, ["--case", "nothing"])
    assert (refused.exit_code, "--case 'nothing' is in no name of" in refused.output) == (2, True)
