"""The lock policies of ``--locks``, which grant a lock to a branch, queue it or reject it. The twin of ``locks.lua``.

A branch acquires all of its locks when it prepares, and holds them until the decision: strict two-phase locking. The policies for
exclusive locks are those of Rosenkrantz, Stearns and Lewis, "System level concurrency control for distributed database systems",
TODS 3(2), 1978; ``escrow.py`` has the policy without exclusive locks.
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
    """Acquire all locks and write PREPARED: ``("", ())``; ``("wait", wounds)`` in the queue; or the reason of a final no."""
    changes = record.changes
    missing = [key for key, _ in changes if key not in tables]
    if missing:
        return reject(tables, txn, f"missing:{missing[0]}"), ()
    if config.options["locks"] == "escrow":
        why = escrow.check_reservation(tables, config, changes)
    else:
        held = _held(tables, config, txn, changes)
        if held:
            return _wait_or_die(tables, config, txn, record, held)
        why = _lock(tables, config, txn, changes)
    if why:
        return reject(tables, txn, why), ()
    if config.options["locks"] == "escrow":
        escrow.reserve(tables, config, changes)
    dequeue(tables, txn)
    table(tables, "prepared")[txn] = record
    return "", ()


def release(tables: Tables, config: Config, txn: str, changes: Changes, committed: bool) -> list[str]:
    """Release the locks and reservations. Return the keys whose locks are free now."""
    freed = []
    for key, delta in changes:
        if tables[key]["lock"] == txn:
            tables[key]["lock"] = ""
            freed.append(key)
        elif committed or config.enabled("escrow-return"):
            escrow.unreserve(tables[key], delta)
    return freed


def grant(tables: Tables, config: Config, now: int, freed: list[str]) -> tuple[Any, Any]:
    """Offer the freed keys to the branches that wait for them, until all are locked again.

    Under wait-die the youngest is first, so that the others wait for a younger one, as the policy demands; under wound-wait the
    oldest. A branch that still waits for another key has another offer at the end, because its wait may now break the policy.
    """
    votes: Votes = []
    wounds: Wounds = []
    still_waiting = []
    for txn in _waiting(tables, config, freed):
        if all(tables[key]["lock"] for key in freed):
            break
        if not _offer(tables, config, now, txn, votes, wounds):
            still_waiting.append(txn)
    for txn in still_waiting:
        _offer(tables, config, now, txn, votes, wounds)
    return tuple(votes), tuple(wounds)


def reject(tables: Tables, txn: str, why: str) -> str:
    """Record a final no, the answer to every later message of the transaction; return its reason."""
    dequeue(tables, txn)
    remember(tables, txn, why)
    return why


def dequeue(tables: Tables, txn: str) -> None:
    """Remove a branch from the queues, if it is in them."""
    record = tables.get("queued", {}).get(txn)
    if record is not None:
        drop(tables, "queued", txn)
        for key, _ in record.changes:
            drop(tables, f"wait:{key}", txn)


# ---------------------------------------------------------------- exclusive locks


def _held(tables: Tables, config: Config, txn: str, changes: Changes) -> dict[str, str]:
    """Return the holders of keys that ``txn`` needs, each with its first such key, in the order of the keys."""
    held: dict[str, str] = {}
    for key, _ in changes if config.enabled("locks") else ():
        holder = tables[key]["lock"]
        if holder and holder != txn:
            held.setdefault(holder, key)
    return held


def _lock(tables: Tables, config: Config, txn: str, changes: Changes) -> str:
    """Lock all keys and return "", or lock none and return why."""
    for key, delta in changes:
        if ledger.has_reservations(tables[key]):
            return f"locked:{key}:{ledger.ESCROW}"  # since a time with another policy
        why = ledger.check_change(tables, config, key, delta)
        if why:
            return why
    for key, _ in changes:
        tables[key]["lock"] = txn
    return ""


def _wait_or_die(
    tables: Tables, config: Config, txn: str, record: Prepared, held: dict[str, str]
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Queue a branch whose keys others hold, or reject it, as the policy decides by the ages; wound younger holders."""
    older = [holder for holder in held if (tables["prepared"][holder].priority_us, holder) < (record.priority_us, txn)]
    policy = config.options["locks"] if config.enabled("deadlock-policy") else "wait"
    if policy == "no-wait" or (policy == "wait-die" and older):
        holder = (older or list(held))[0]
        return reject(tables, txn, f"locked:{held[holder]}:{holder}"), ()
    _enqueue(tables, txn, record)
    younger = [] if policy != "wound-wait" else [holder for holder in held if holder not in older]
    return "wait", tuple((tables["prepared"][holder].coordinator, holder) for holder in younger)


def _waiting(tables: Tables, config: Config, freed: list[str]) -> list[str]:
    """Return the transactions that wait for these keys: youngest first under wait-die, else oldest first."""
    priorities = {txn: priority_us for key in freed for txn, priority_us in tables.get(f"wait:{key}", {}).items()}
    return sorted(priorities, key=lambda txn: (priorities[txn], txn), reverse=config.options["locks"] == "wait-die")


def _offer(tables: Tables, config: Config, now: int, txn: str, votes: Votes, wounds: Wounds) -> bool:
    """Try to acquire the locks of a queued branch. Return whether it left the queue."""
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
