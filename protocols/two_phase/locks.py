"""Who gets a lock, who waits and who is refused: the policies of ``--locks``. The twin of ``locks.lua``.

A branch takes all that it needs when it prepares, and keeps it until the decision: strict two-phase locking. The policies for
exclusive locks are those of Rosenkrantz, Stearns and Lewis, "System level concurrency control for distributed database systems",
TODS 3(2), 1978; ``escrow.py`` has the one that shares.
"""

from typing import Any

from protocols.core import Config
from protocols.shop import ledger
from protocols.shop.ledger import Changes
from protocols.store.fences import remember
from protocols.store.tables import Tables, drop, table
from protocols.two_phase import escrow
from protocols.two_phase.records import Prepared

Votes = list[tuple[str, str, str, str]]
Wounds = list[tuple[str, str]]


def acquire(tables: Tables, config: Config, txn: str, record: Prepared) -> tuple[str, tuple[tuple[str, str], ...]]:
    """All that the branch needs and PREPARED, or none: ``("", ())``, ``("wait", wounds)``, or why it is refused for good."""
    changes = record.changes
    missing = [key for key, _ in changes if key not in tables]
    if missing:
        return refuse(tables, txn, f"missing:{missing[0]}"), ()
    if config.options["locks"] == "escrow":
        why = escrow.why_not(tables, config, changes)
    else:
        held = _held(tables, config, txn, changes)
        if held:
            return _wait_or_die(tables, config, txn, record, held)
        why = _lock(tables, config, txn, changes)
    if why:
        return refuse(tables, txn, why), ()
    if config.options["locks"] == "escrow":
        escrow.set_aside(tables, config, changes)
    dequeue(tables, txn)
    table(tables, "prepared")[txn] = record
    return "", ()


def release(tables: Tables, config: Config, txn: str, changes: Changes, committed: bool) -> list[str]:
    """Let go of everything. Returns the keys whose locks are free now."""
    freed = []
    for key, delta in changes:
        if tables[key]["lock"] == txn:
            tables[key]["lock"] = ""
            freed.append(key)
        elif committed or config.enabled("escrow-return"):
            escrow.take_back(tables[key], delta)
    return freed


def grant(tables: Tables, config: Config, now: int, freed: list[str]) -> tuple[Any, Any]:
    """Offer the freed keys to those who wait for them, until all are taken again.

    Under wait-die the youngest goes first, so that whoever is left waits for a younger one, as the policy wants; under
    wound-wait the oldest. Who was passed over because it waits for another key as well is asked again at the end: its
    place may now break the policy.
    """
    votes: Votes = []
    wounds: Wounds = []
    waiting = _waiting(tables, config, freed)
    passed = []
    for txn in waiting:
        if all(tables[key]["lock"] for key in freed):
            break
        if not _offer(tables, config, now, txn, votes, wounds):
            passed.append(txn)
    for txn in passed:
        _offer(tables, config, now, txn, votes, wounds)
    return tuple(votes), tuple(wounds)


def refuse(tables: Tables, txn: str, why: str) -> str:
    """A no is final: whatever comes late for this transaction hears the same."""
    dequeue(tables, txn)
    remember(tables, txn, why)
    return why


def dequeue(tables: Tables, txn: str) -> None:
    record = tables.get("queued", {}).get(txn)
    if record is not None:
        drop(tables, "queued", txn)
        for key, _ in record.changes:
            drop(tables, f"wait:{key}", txn)


# ---------------------------------------------------------------- exclusive locks


def _held(tables: Tables, config: Config, txn: str, changes: Changes) -> dict[str, str]:
    """Who holds a key that ``txn`` wants, with the first such key, in the order of the keys."""
    held: dict[str, str] = {}
    for key, _ in changes if config.enabled("locks") else ():
        holder = tables[key]["lock"]
        if holder and holder != txn:
            held.setdefault(holder, key)
    return held


def _lock(tables: Tables, config: Config, txn: str, changes: Changes) -> str:
    """Lock all, or say why not and lock none."""
    for key, delta in changes:
        if ledger.has_reservations(tables[key]):
            return f"locked:{key}:{ledger.ESCROW}"  # from a time with another policy
        why = ledger.check_change(tables, config, key, delta)
        if why:
            return why
    for key, _ in changes:
        tables[key]["lock"] = txn
    return ""


def _wait_or_die(
    tables: Tables, config: Config, txn: str, record: Prepared, held: dict[str, str]
) -> tuple[str, tuple[tuple[str, str], ...]]:
    older = [holder for holder in held if (tables["prepared"][holder].priority_us, holder) < (record.priority_us, txn)]
    policy = config.options["locks"] if config.enabled("deadlock-policy") else "wait"
    if policy == "no-wait" or (policy == "wait-die" and older):
        holder = (older or list(held))[0]
        return refuse(tables, txn, f"locked:{held[holder]}:{holder}"), ()
    _enqueue(tables, txn, record)
    younger = [] if policy != "wound-wait" else [holder for holder in held if holder not in older]
    return "wait", tuple((tables["prepared"][holder].coordinator, holder) for holder in younger)


def _waiting(tables: Tables, config: Config, freed: list[str]) -> list[str]:
    priorities = {txn: priority_us for key in freed for txn, priority_us in tables.get(f"wait:{key}", {}).items()}
    return sorted(priorities, key=lambda txn: (priorities[txn], txn), reverse=config.options["locks"] == "wait-die")


def _offer(tables: Tables, config: Config, now: int, txn: str, votes: Votes, wounds: Wounds) -> bool:
    """Try again for one that waits. False if it still has to."""
    record: Prepared = tables["queued"][txn]._replace(since_ms=now)
    why, wounded = acquire(tables, config, txn, record)
    wounds.extend(wounded)
    if why != "wait":
        votes.append((record.coordinator, txn, record.branch, why))
    return why != "wait"


def _enqueue(tables: Tables, txn: str, record: Prepared) -> None:
    table(tables, "queued")[txn] = record
    for key, _ in record.changes:
        table(tables, f"wait:{key}")[txn] = record.priority_us
