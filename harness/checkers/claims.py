"""Which claim excludes which anomaly: data, so that a verdict never depends on who reads it."""

from typing import NamedTuple

from harness.history import Event, History

ALWAYS = "the API's contract"
"""The claim of an anomaly which every shop excludes, whatever its protocol claims."""

DISK_FULL = "disk-full"
WRITTEN_WITHIN_NS = 2_000_000_000
"""A store tries again every second to write what it holds in memory."""

TAIL_CUTS = frozenset({"power-cut", "lost-tail"})
"""Faults after which a store that does not force its log may have forgotten what it acknowledged."""


class Promise(NamedTuple):
    """An anomaly is excluded if `claim` is at one of `levels`.

    A promise that `needs_log` binds nobody in a run which cut the tail of a log, unless durability is
    claimed `always`: no protocol is atomic over stores that forget what they have acknowledged, and none
    can end a commit for which a store has forgotten that it voted.
    """

    claim: str
    levels: frozenset[str] = frozenset()
    needs_log: bool = True


ATOMIC = Promise("atomicity", frozenset({"atomic", "eventually"}))
KEPT = Promise(ALWAYS)
CONTRACT = Promise(ALWAYS, needs_log=False)
BOUNDED = Promise("recovery_s")
BLOCKED = Promise("blocking_s")
OUTAGE = Promise("outage_s")

BOUNDS = frozenset({"recovery_s", "blocking_s", "outage_s"})
"""Claims of seconds; None claims nothing."""

ISOLATION_LEVELS = ("read-uncommitted", "read-committed", "snapshot", "serializable", "strict-serializable")
"""Each level excludes all that those before it exclude: PL-1, PL-2, snapshot, PL-3 of Adya's thesis."""

FIRST_EXCLUDED_BY = {
    "G0": "read-uncommitted",
    "garbage-read": "read-uncommitted",
    "G1a": "read-committed",
    "G1b": "read-committed",
    "G1c": "read-committed",
    "incompatible-reads": "read-committed",  # one of the two saw what was no committed version
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
    name: Promise("isolation", frozenset(ISOLATION_LEVELS[ISOLATION_LEVELS.index(level) :]))
    for name, level in FIRST_EXCLUDED_BY.items()
}


def excludes(promise: Promise, history: History) -> bool:
    """Did the protocol promise, in this run, that this does not happen?"""
    claims = history.header.claims
    if promise.needs_log and claims.durability != "always" and _lost_a_tail(history):
        return False
    if promise.claim == ALWAYS:
        return True
    if promise.claim in BOUNDS:
        return getattr(claims, promise.claim) is not None
    return getattr(claims, promise.claim) in promise.levels


def claim_text(promise: Promise, history: History) -> str:
    """The claim in words: `isolation: serializable`."""
    if promise.claim == ALWAYS:
        return ALWAYS
    return f"{promise.claim}: {getattr(history.header.claims, promise.claim)}"


def _lost_a_tail(history: History) -> bool:
    return any(event.data.get("fault") in TAIL_CUTS for event in history.of_kind("fault-start")) or _died_full(history)


def _died_full(history: History) -> bool:
    """Whether a store died while a disk was full, or before it had written down what it held in memory."""
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
