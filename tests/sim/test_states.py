"""The names of states are the protocol's: the harness uses their kinds alone, also those of a plug-in.

And a fence that should have been collected is found, by the probe of a run and by the search.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from harness.checkers.recovery import LEFT
from harness.explore.case import ONE_AFTER_ANOTHER
from harness.explore.search import Bounds, Search
from harness.faults import Fault
from harness.run.in_memory import InMemoryRun
from protocols import registry, saga, two_phase
from protocols.core import Protocol, StateKind
from protocols.errors import UsageError
from protocols.store import fences
from protocols.store.tables import Tables
from tests.runtimes import EVERY_PROTOCOL
from tests.sim.conftest import examined

OTHER_NAMES = {"open": "begonnen", "committed": "beschlossen", "prepared": "bereit", "queued": "wartend"}
FENCED = ("2pc", "saga")
"""Protocols that keep fences."""


@dataclass(frozen=True)
class Entry:
    """An entry point of a package that is not installed."""

    protocol: Protocol
    value: str = "elsewhere:PROTOCOL"

    def load(self) -> Protocol:
        return self.protocol


Install = Callable[[Protocol], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    def put(protocol: Protocol) -> None:
        known = registry._installed()
        monkeypatch.setattr(registry, "_installed", lambda: {**known, protocol.name: Entry(protocol)})

    return put


def plug_in(states: Mapping[str, frozenset[StateKind]]) -> Protocol:
    """Return two-phase commit under another name, with other names for its states."""
    ours = registry.load("2pc")

    def list_txns(*about: Any) -> tuple[Any, ...]:
        return tuple(
            (txn, OTHER_NAMES.get(state, state), *rest) for txn, state, *rest in ours.commands["list_txns"](*about)
        )

    return replace(ours, name="zwei", commands={**ours.commands, "list_txns": list_txns}, states=states)


def all_named() -> dict[str, frozenset[StateKind]]:
    return {OTHER_NAMES.get(state, state): kinds for state, kinds in registry.load("2pc").states.items()}


def most(done: InMemoryRun) -> dict[str, int]:
    """Return the largest count of each kind in the probes of the run."""
    return {name: max(probe.data[name] for probe in done.history.of_kind("probe")) for name in LEFT}


CUT = Fault("partition", ("order<->stock",), 1.0, 4.0, {"heal": "flow"})


def test_a_plug_ins_transactions_are_found_in_doubt_and_holding_locks(install: Install) -> None:
    install(plug_in(all_named()))
    theirs, ours = (most(examined("partition-order-stock", name, schedule=(CUT,))) for name in ("zwei", "2pc"))
    assert theirs == ours
    assert (theirs["in_doubt"] > 0, theirs["locks"] >= theirs["in_doubt"], theirs["open"] > 0, theirs["fences"]) == (
        True, True, True, 0,
    )  # fmt: skip


def test_a_state_without_a_kind_ends_the_run_and_the_search_and_is_named(install: Install) -> None:
    states = all_named()
    del states["bereit"]
    install(plug_in(states))
    with pytest.raises(UsageError, match=r"zwei lists a transaction as .bereit., which Protocol\.states does not map"):
        examined("partition-order-stock", "zwei", schedule=(CUT,))
    protocol = registry.load("zwei")
    with pytest.raises(UsageError, match="'bereit'"):
        Search(protocol, protocol.configure(), ONE_AFTER_ANOTHER, Bounds(crashes=0)).run()


@pytest.mark.parametrize(
    "kinds",
    [frozenset(), frozenset({"stuck"}), frozenset({StateKind.OPEN, "in doubt"})],
    ids=["none", "unknown", "one known"],
)
def test_a_protocol_whose_state_has_no_known_kind_is_refused(kinds: frozenset[Any]) -> None:
    with pytest.raises(UsageError, match="zwei maps its state 'bereit' to"):
        plug_in({**all_named(), "bereit": kinds})


@pytest.mark.parametrize("name", registry.names())
def test_the_checker_counts_every_kind(name: str) -> None:
    assert set(LEFT) == {kind.value for kind in StateKind}
    assert frozenset().union(*registry.load(name).states.values()) <= set(StateKind)


# ---------------------------------------------------------------- fences


def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the collection of fences."""
    drop = fences.drop

    def keep(tables: Tables, name: str, field: str) -> None:
        if not name.startswith("fence:"):
            drop(tables, name, field)

    monkeypatch.setattr(fences, "drop", keep)
    monkeypatch.setattr(fences, "_drop_lives", lambda *_: None)


def uncollected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the collection of fences and the record of the point up to which they should be collected."""
    for commands in (saga.commands, two_phase.commands):
        monkeypatch.setattr(commands, "collect", lambda *_: None)


@pytest.mark.parametrize(
    ("name", "defect"),
    [
        ("2pc", kept),
        ("saga", uncollected),
        pytest.param("2pc", uncollected, marks=pytest.mark.slow),
        pytest.param("saga", kept, marks=pytest.mark.slow),
    ],
)
def test_fences_that_are_never_collected_are_found(
    name: str, defect: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    defect(monkeypatch)
    done = examined("kill-one-at-a-time", name)
    assert done.names == {"fence-left"}
    (probe, *_) = reversed(done.history.of_kind("probe"))
    assert probe.data["fences"] > 10
    assert any(" fenced in stock" in line for line in probe.data["unfinished"])


@pytest.mark.parametrize("defect", [kept, uncollected])
@pytest.mark.parametrize("name", FENCED)
def test_the_search_finds_uncollected_fences_as_well(
    name: str, defect: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    defect(monkeypatch)
    protocol = registry.load(name)
    result = Search(protocol, protocol.configure(), ONE_AFTER_ANOTHER, Bounds(crashes=0)).run()
    assert result.violation.startswith("unfinished")


@pytest.mark.parametrize("name", EVERY_PROTOCOL)
def test_no_fence_is_left_by_a_protocol_that_collects_them(name: str) -> None:
    done = examined("kill-one-at-a-time", name)
    assert (done.judgement.verdict, done.names, most(done)["fences"]) == ("holds", frozenset(), 0)
