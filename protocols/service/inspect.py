"""What an operator may see and do: the unfinished transactions of this service's store, one of them, and ending one."""

from typing import TYPE_CHECKING, Any

from protocols.core import Command

if TYPE_CHECKING:
    from protocols.service.node import Node


async def unfinished(node: "Node") -> list[dict[str, Any]]:
    """``[{"txn", "service", "state", "subject", "since_ms"}]``: every transaction that this store has not ended."""
    now = node.clock.now_us() // 1000
    rows = await node.store.call(Command("list_txns"))
    return [
        {"txn": txn, "service": node.settings.service, "state": state, "subject": subject, "since_ms": now - since}
        for txn, state, subject, since in rows
    ]


async def show(node: "Node", txn: str) -> list[dict[str, Any]]:
    """What this store knows of one: as ``unfinished``, or its verdict if it has ended and is still remembered."""
    found = [row for row in await unfinished(node) if row["txn"] == txn]
    if found:
        return found
    (verdict,) = await node.store.call(Command("txn_verdict", (txn,)))
    return [{"txn": txn, "service": node.settings.service, "state": verdict}] if verdict else []


async def resolve(node: "Node", txn: str) -> dict[str, Any]:
    """End it now: an undecided transaction is aborted (its owner can no longer commit), a decided one is told again."""
    found = [
        record for name, record in await node.store.call(Command(node.service.role.recovery, ("", -1))) if name == txn
    ]
    node.driver.recover([(txn, record) for record in found])
    return {"txn": txn, "resolved": bool(found)}
