"""The claim that excludes each anomaly, as data: a verdict is then a lookup, and the same for every reader."""

from typing import NamedTuple

from harness.history import Event, History
from protocols.copies.replication import BEST_EFFORT

ALWAYS = "the API's contract"
"""The claim that excludes an anomaly for every shop, whatever its protocol claims."""

MUST_HOLD = "must_hold"
"""The key of the required checkers in the header's configuration."""

DISK_FULL = "disk-full"
WRITTEN_WITHIN_NS = 2_000_000_000
"""A store retries every second to write its memory to disk."""

TAIL_CUTS = frozenset({"power-cut", "lost-tail"})
"""Faults after which a store without forced writes may have lost acknowledged writes."""


class Exclusion(NamedTuple):
    """The exclusion of an anomaly: a protocol excludes it if its `claim` is at one of `levels`.

    No protocol can claim the property of a `REQUIRED` exclusion: it binds in a run whose scenario requires one of the
    checkers `levels`.

    An exclusion that `needs_log` does not bind in a run which cut the tail of a log, unless durability is claimed
    `always`: no protocol is atomic over stores that lose acknowledged writes, and none can end a commit whose vote a
    store has lost. Nor does it bind where durability is a best effort, as on stores with a failover that may lose some.
    """

    claim: str
    levels: frozenset[str] = frozenset()
    needs_log: bool = True


ATOMIC = Exclusion("atomicity", frozenset({"atomic", "eventually"}))
KEPT = Exclusion(ALWAYS)
CONTRACT = Exclusion(ALWAYS, needs_log=False)
BOUNDED = Exclusion("recovery_s")
BLOCKED = Exclusion("blocking_s")
OUTAGE = Exclusion("outage_s")
REQUIRED = Exclusion(MUST_HOLD, frozenset({"availability"}), needs_log=False)

BOUNDS = frozenset({"recovery_s", "blocking_s", "outage_s"})
"""Claims in seconds; None is no claim."""

ISOLATION_LEVELS = ("read-uncommitted", "read-committed", "snapshot", "serializable", "strict-serializable")
"""Isolation levels, each of which excludes all anomalies of the levels before it: PL-1, PL-2, snapshot, PL-3 of
Adya's thesis.
"""

FIRST_EXCLUDED_BY = {
    "G0": "read-uncommitted",
    "garbage-read": "read-uncommitted",
    "G1a": "read-committed",
    "G1b": "read-committed",
    "G1c": "read-committed",
    "incompatible-reads": "read-committed",  # one of the two states is no committed version
    "lost-update": "snapshot",
    "fractured-read": "snapshot",
    "G-single": "snapshot",
    "G-nonadjacent": "snapshot",
    "G2-item": "serializable",
    "lost-update-realtime": "strict-serializable",
    **{
        f"{cycle}-{order}": "strict-serializable"
        for cycle in ("G0", "G1c", "G-single", "G2-item")
        for order in ("process", "realtime")
    },
}
"""The weakest level at which the anomaly is impossible."""

ISOLATION = {
    name: Exclusion("isolation", frozenset(ISOLATION_LEVELS[ISOLATION_LEVELS.index(level) :]))
    for name, level in FIRST_EXCLUDED_BY.items()
}


def applies(exclusion: Exclusion, history: History) -> bool:
    """Whether the claims of this run exclude the anomaly."""
    claims = history.header.claims
    if exclusion.needs_log and (
        claims.durability == BEST_EFFORT or (claims.durability != "always" and _lost_a_tail(history))
    ):
        return False
    if exclusion.claim == ALWAYS:
        return True
    if exclusion.claim == MUST_HOLD:
        return not exclusion.levels.isdisjoint(history.header.config.get(MUST_HOLD) or ())
    if exclusion.claim in BOUNDS:
        return getattr(claims, exclusion.claim) is not None
    return getattr(claims, exclusion.claim) in exclusion.levels


def describe_claim(exclusion: Exclusion, history: History) -> str:
    """Return the claim as text: `isolation: serializable`, `outage_s: no claim`."""
    if exclusion.needs_log and history.header.claims.durability == BEST_EFFORT:
        return f"{exclusion.claim}: best effort"
    if exclusion.claim == ALWAYS:
        return ALWAYS
    if exclusion.claim == MUST_HOLD:
        return f"{', '.join(exclusion.levels)}: {'required' if applies(exclusion, history) else 'not required'}"
    value = getattr(history.header.claims, exclusion.claim)
    return f"{exclusion.claim}: {'no claim' if value is None else value}"


def _lost_a_tail(history: History) -> bool:
    return any(event.data.get("fault") in TAIL_CUTS for event in history.of_kind("fault-start")) or _died_full(history)


def _died_full(history: History) -> bool:
    """Whether a store died while a disk was full, or before it wrote its memory to disk afterwards."""
    full, until_ns = 0, -1
    for event in history.events:
        if event.data.get("fault") == DISK_FULL and event.kind in ("fault-start", "fault-end"):
            full += 1 if event.kind == "fault-start" else -1
            until_ns = event.at_ns + WRITTEN_WITHIN_NS
        elif _death_of_a_store(event) and (full or event.at_ns <= until_ns):
            return True
    return False


def _death_of_a_store(event: Event) -> bool:
    return event.kind == "node" and event.data["state"] == "down" and str(event.data["name"]).endswith("-store")
