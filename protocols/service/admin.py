"""The operator's functions: list the transactions of this service's store, show one of them, end one."""

from typing import TYPE_CHECKING, Any

from protocols.core import Command

if TYPE_CHECKING:
    from protocols.service.service_process import ServiceProcess

LOG, ENDED = "txn_log", "list_ended"


async def unfinished(process: "ServiceProcess") -> list[dict[str, Any]]:
    """Return every transaction that this store has not ended, as `[{"txn", "service", "state", "subject", "since_ms"}]`.

    `since_ms` is its time in this state; 0 if it was written by a clock ahead of this one.
    """
    return await _listed(process, "list_txns")


async def ended(process: "ServiceProcess") -> list[dict[str, Any]]:
    """Return the transactions that ended last, in the same form; none where the protocol keeps no such list."""
    return await _listed(process, ENDED) if ENDED in process.protocol.commands else []


async def _listed(process: "ServiceProcess", command: str) -> list[dict[str, Any]]:
    now = process.clock.now_us() // 1000
    rows = await process.store.call(Command(command))
    return [
        {
            "txn": txn,
            "service": process.settings.service,
            "state": state,
            "subject": subject,
            "since_ms": max(0, now - since),
        }
        for txn, state, subject, since in rows
    ]


async def show(process: "ServiceProcess", txn: str) -> list[dict[str, Any]]:
    """Return one transaction as `unfinished` does, or with its verdict if it has ended and is still recorded; else `[]`.

    If the protocol keeps a log, the row has `"log": [{"at_ms", "what", "branch", "why"}]`, times since the epoch.
    """
    rows = [row for row in await unfinished(process) if row["txn"] == txn]
    if not rows:
        (verdict,) = await process.store.call(Command("txn_verdict", (txn,)))
        rows = [{"txn": txn, "service": process.settings.service, "state": verdict}] if verdict else []
    if rows and LOG in process.protocol.commands:
        lines = await process.store.call(Command(LOG, (txn,)))
        rows[0]["log"] = [dict(zip(("at_ms", "what", "branch", "why"), line, strict=True)) for line in lines]
    return rows


async def resolve(process: "ServiceProcess", txn: str) -> dict[str, Any]:
    """Recover a transaction now: an undecided one is aborted (its owner can no longer commit), a decision is sent again."""
    records = [
        record
        for name, record in await process.store.call(Command(process.service.role.recovery, ("", -1)))
        if name == txn
    ]
    process.driver.recover([(txn, record) for record in records])
    return {"txn": txn, "resolved": bool(records)}
