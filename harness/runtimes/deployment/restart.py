"""The restart of services and gateways of a deployment, from another process than its supervisor.

A process that receives SIGTERM drains and ends, and its supervisor starts it again as after any other end. A rolling restart
waits for each instance before the next one, so that another instance serves all the time where a service has two.
"""

import time
from collections.abc import Callable, Sequence

from harness.errors import EnvironmentFailure
from harness.runtimes import table
from harness.runtimes.base import Node
from harness.runtimes.deployment.control import DeploymentView, view
from harness.runtimes.deployment.state import StateFolder
from protocols.errors import UsageError

STARTS_WITHIN_S = 30.0
POLL_S = 0.05


def chosen(shop: DeploymentView, names: Sequence[str]) -> list[Node]:
    """Return the nodes of these names, of services or of nodes. Without a name: all services, and gateways if there are several.

    The only gateway has to be named: while it restarts, connections are refused. Raises `UsageError` for another name.
    """
    nodes = [node for node in shop.nodes if node.kind in ("service", "gateway")]
    known = dict.fromkeys(name for node in nodes for name in (_group(node), node.name))
    for name in names:
        if name not in known:
            raise UsageError(f"no service, gateway or process of one {name!r}; there are: {', '.join(known)}")
    if names:
        return [node for node in nodes if _group(node) in names or node.name in names]
    gateways = [node for node in nodes if node.kind == "gateway"]
    return [node for node in nodes if node.kind == "service" or len(gateways) > 1]


def _group(node: Node) -> str:
    return node.service or node.kind


def restart(
    folder: StateFolder, shop: DeploymentView, nodes: Sequence[Node], *, rolling: bool, say: Callable[[str], None]
) -> None:
    """Restart nodes of the deployment, all at once or one after the other, and return once all serve. Blocks.

    Raises `EnvironmentFailure` for a deployment that is not whole, and for a node that does not come back.
    """
    _check(shop)
    for group in [[node] for node in nodes] if rolling else [list(nodes)]:
        names = ", ".join(node.name for node in group)
        began = time.monotonic()
        for node in group:
            table.deployable(shop.deployment.runtime).terminate(shop.deployment, node)
        _await_next_lives(folder, group, _limit_s(shop))
        say(f"restarted {names} in {time.monotonic() - began:.1f} s")


def _check(shop: DeploymentView) -> None:
    if shop.troubles:
        raise EnvironmentFailure(f"{shop.troubles[0]}; a restart begins when every node runs under its supervisor")
    if shop.deployment.phase != "up":
        raise EnvironmentFailure(f"the shop is {shop.deployment.phase}; a restart begins when it is up")
    if not shop.deployment.spec.respawn_after_s:
        raise EnvironmentFailure("the supervisor starts no node again: the shop was started with --respawn-after-s 0")


def _limit_s(shop: DeploymentView) -> float:
    """Return the longest time of a restart: the drain, the pause of the supervisor, and the start."""
    return shop.deployment.spec.time_limit_s + shop.deployment.spec.respawn_after_s + STARTS_WITHIN_S


def _await_next_lives(folder: StateFolder, former: Sequence[Node], within_s: float) -> None:
    """Return once each of these nodes serves in another life. Raises `EnvironmentFailure` naming the others."""
    pids = {node.name: node.pid for node in former}
    deadline = time.monotonic() + within_s
    while True:
        now = view(folder)
        if now is None or not now.supervised:
            raise EnvironmentFailure("the shop was stopped during the restart")
        missing = [
            node for node in now.nodes if node.name in pids and (node.state != "running" or node.pid == pids[node.name])
        ]
        if not missing:
            return
        if time.monotonic() > deadline:
            states = ", ".join(f"{node.name} ({node.state})" for node in missing)
            raise EnvironmentFailure(
                f"not serving again after {within_s:g} s: {states}; `wdm logs {missing[0].name}` shows why"
            )
        time.sleep(POLL_S)
