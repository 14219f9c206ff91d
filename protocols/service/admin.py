"""The operator's functions: list the transactions of this service's store, show one of them, end one."""

from typing import TYPE_CHECKING, Any

from protocols.core import Command

if TYPE_CHECKING:
    from protocols.service.node import Node

LOG, ENDED = "txn_log", "list_ended"


async def unfinished(node: "Node") -> list[dict[str, Any]]:
    """Return every transaction that this store has not ended, as `[{"txn", "service", "state", "subject", "since_ms"}]`.

    `since_ms` is its time in this state; 0 if it was written by a clock ahead of this one.
    """
    return await _listed(node, "list_txns")


async def ended(node: "Node") -> list[dict[str, Any]]:
    """Return the transactions that ended last, in the same form; none where the protocol keeps no such list."""
    return await _listed(node, ENDED) if ENDED in node.protocol.commands else []


async def _listed(node: "Node", command: str) -> list[dict[str, Any]]:
    now = node.clock.now_us() // 1000
    rows = await node.store.call(Command(command))
    return [
        {
            "txn": txn,
            "service": node.settings.service,
            "state": state,
            "subject": subject,
            "since_ms": max(0, now - since),
        }
        for txn, state, subject, since in rows
    ]


async def show(node: "Node", txn: str) -> list[dict[str, Any]]:
    """Return one transaction as `unfinished` does, or with its verdict if it has ended and is still recorded; else `[]`.

    Where the protocol keeps a log, with `"log": [{"at_ms", "what", "branch", "why"}]`, times since the epoch.
    """
    rows = [row for row in await unfinished(node) if row["txn"] == txn]
    if not rows:
        (verdict,) = await node.store.call(Command("txn_verdict", (txn,)))
        rows = [{"txn": txn, "service": node.settings.service, "state": verdict}] if verdict else []
    if rows and LOG in node.protocol.commands:
        lines = await node.store.call(Command(LOG, (txn,)))
        rows[0]["log"] = [dict(zip(("at_ms", "what", "branch", "why"), line, strict=True)) for line in lines]
    return rows


async def resolve(node: "Node", txn: str) -> dict[str, Any]:
    """Recover a transaction now: an undecided one is aborted (its owner can no longer commit), a decision is sent again."""
    records = [
        record for name, record in await node.store.call(Command(node.service.role.recovery, ("", -1))) if name == txn
    ]
    node.driver.recover([(txn, record) for record in records])
    return {"txn": txn, "resolved": bool(records)}
