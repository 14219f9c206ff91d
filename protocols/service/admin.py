"""What an operator may see and do: the unfinished transactions of this service's store, one of them, and ending one."""

from typing import TYPE_CHECKING, Any

from protocols.core import Command

if TYPE_CHECKING:
    from protocols.service.node import Node

LOG, ENDED = "txn_log", "list_ended"


async def unfinished(node: "Node") -> list[dict[str, Any]]:
    """``[{"txn", "service", "state", "subject", "since_ms"}]``: every transaction that this store has not ended.

    ``since_ms`` is 0 for what a clock wrote that is ahead of this one.
    """
    return await _listed(node, "list_txns")


async def ended(node: "Node") -> list[dict[str, Any]]:
    """The same of those that ended last, where the protocol remembers any."""
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
    """What this store knows of one: as ``unfinished``, or its verdict if it has ended and is still remembered.

    Where the protocol keeps a log, with ``"log": [{"at_ms", "what", "branch", "why"}]``, times since the epoch.
    """
    found = [row for row in await unfinished(node) if row["txn"] == txn]
    if not found:
        (verdict,) = await node.store.call(Command("txn_verdict", (txn,)))
        found = [{"txn": txn, "service": node.settings.service, "state": verdict}] if verdict else []
    if found and LOG in node.protocol.commands:
        lines = await node.store.call(Command(LOG, (txn,)))
        found[0]["log"] = [dict(zip(("at_ms", "what", "branch", "why"), line, strict=True)) for line in lines]
    return found


async def resolve(node: "Node", txn: str) -> dict[str, Any]:
    """End it now: an undecided transaction is aborted (its owner can no longer commit), a decided one is told again."""
    found = [
        record for name, record in await node.store.call(Command(node.service.role.recovery, ("", -1))) if name == txn
    ]
    node.driver.recover([(txn, record) for record in found])
    return {"txn": txn, "resolved": bool(found)}
