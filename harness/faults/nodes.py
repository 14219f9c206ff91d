"""Kills and restarts of nodes, for the fault kinds that need them: a node comes back when the last fault on it ends."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from harness.errors import EnvironmentFailure
from harness.faults.base import Fault
from harness.runtimes.base import Breakable, Node, Order

POLL_S = 0.005
GONE_WITHIN_S = 10.0
POLL_SERVES_S = 0.02
SERVES_WITHIN_S = 30.0


def take_down(runtime: Breakable, fault: Fault, nodes: Iterable[Node]) -> str:
    """Kill nodes and keep them down until `bring_back`. Return a report of those that were down already."""
    already = []
    for node in nodes:
        runtime.holds.take(f"down {node.name}", fault)
        if node.state == "down":
            already.append(node.name)
        with suppress(EnvironmentFailure):  # it is dying
            runtime.kill(node.name, stay_down=True)
    return f"{', '.join(already)} was down already" if already else ""


def kill(runtime: Breakable, nodes: Iterable[Node]) -> str:
    """Kill nodes, except those that another fault keeps down. Return a report of those that were down already."""
    already = []
    for node in nodes:
        if node.state == "down" or runtime.holds.held(f"down {node.name}"):
            already.append(node.name)
            continue
        with suppress(EnvironmentFailure):  # it is dying
            runtime.kill(node.name)
    return f"{', '.join(already)} was down already" if already else ""


async def await_death(runtime: Breakable, nodes: Iterable[Node]) -> None:
    """Wait until all nodes have ended. Raises `EnvironmentFailure` for one that outlives a kill by `GONE_WITHIN_S`."""
    names = {node.name for node in nodes}
    now = asyncio.get_running_loop().time
    deadline = now() + GONE_WITHIN_S
    while left := [node.name for node in runtime.nodes() if node.name in names and node.state != "down"]:
        if now() > deadline:
            raise EnvironmentFailure(f"{', '.join(left)} did not end within {GONE_WITHIN_S:g} s after SIGKILL")
        await asyncio.sleep(POLL_S)


async def until_none(missing: Callable[[], list[str]]) -> None:
    """Wait until no node is missing. Raises `EnvironmentFailure` naming the missing ones after `SERVES_WITHIN_S`."""
    now = asyncio.get_running_loop().time
    deadline = now() + SERVES_WITHIN_S
    while names := missing():
        if now() > deadline:
            raise EnvironmentFailure(f"{', '.join(names)} did not serve within {SERVES_WITHIN_S:g} s")
        await asyncio.sleep(POLL_SERVES_S)


def bring_back(runtime: Breakable, fault: Fault) -> None:
    """Start the nodes that no other fault keeps down. They may need a while until they serve."""
    for node in runtime.nodes():
        if runtime.holds.release(f"down {node.name}", fault):
            runtime.revive(node.name)


def untaken(order: Order, nodes: Iterable[Node]) -> str | None:
    """Return the reason to refuse a fault that needs this order, for a node that does not take it; None without one."""
    for node in nodes:
        if not node.takes:
            return f"{node.name} is a server outside of wdm"
        if order not in node.takes:
            return f"{node.name} does not take the order to {order}, only to {' and '.join(sorted(node.takes))}"
    return None
