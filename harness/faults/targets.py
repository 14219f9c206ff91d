"""The names that a fault's targets may have, and what they stand for. The only place that knows.

For a fault of nodes: a node (``order-1``, ``stock-store``, ``broker``), a service (``order``: all its workers), ``services``,
``stores``, ``all`` (both, and the broker), ``any``, ``any-service`` or ``any-store`` (one of them, drawn). For a fault of links:
``order->stock`` (the connections that order's workers open to stock's), ``order<->stock`` (both ways), the name of nodes as above
(every link from or to them), ``any`` (one pair that talks, drawn). Both sides of an arrow are names of nodes as above.
Where services share one store, the store of each is that one.
"""

from collections.abc import Iterable
from random import Random

from harness.faults.base import Aim
from harness.runtimes.base import Breakable, LinkId, Node, Runtime
from protocols.errors import UsageError

GROUPS = {"services": ("service",), "stores": ("store",), "all": ("service", "store", "broker")}
DRAWN = {"any": ("service", "store", "broker"), "any-service": ("service",), "any-store": ("store",)}
AIMED = {"nodes": ("service", "store", "broker", "gateway"), "services": ("service",), "stores": ("store",)}


def draw(runtime: Breakable, aim: Aim, targets: Iterable[str], rng: Random) -> tuple[str, ...]:
    """The targets, with a choice made for every ``any``. Draws nothing where there is nothing to choose."""
    return tuple(_drawn(runtime, aim, target, rng) for target in targets)


def nodes(runtime: Runtime, aim: Aim, targets: Iterable[str]) -> tuple[Node, ...]:
    """The nodes meant, each once, in the order of the runtime. Raises ``UsageError`` naming what does not exist."""
    meant = {name for target in targets for name in _names(runtime, target, AIMED[aim])}
    return tuple(node for node in runtime.nodes() if node.name in meant)


def links(runtime: Breakable, targets: Iterable[str]) -> tuple[LinkId, ...]:
    """The links meant, each once, in the order of the runtime. Raises ``UsageError`` naming what does not exist."""
    there = runtime.links()
    meant = {wire for target in targets for wire in _wires(runtime, there, target)}
    return tuple(wire for wire in there if wire in meant)


def check(runtime: Breakable, aim: Aim, targets: Iterable[str]) -> None:
    """Raise ``UsageError`` for a target that does not exist or is of the wrong kind."""
    for target in targets:
        if aim == "links":
            if target != "any":
                links(runtime, (target,))
        elif target in DRAWN:
            _pool(runtime, target, AIMED[aim])
        else:
            nodes(runtime, aim, (target,))


def _drawn(runtime: Breakable, aim: Aim, target: str, rng: Random) -> str:
    if target not in (("any",) if aim == "links" else DRAWN):
        return target
    pool = _pairs(runtime) if aim == "links" else [node.name for node in _pool(runtime, target, AIMED[aim])]
    if not pool:
        raise UsageError(f"{target!r} is empty: this deployment has no target of this fault")
    return rng.choice(pool)


def _pool(runtime: Runtime, target: str, aimed: tuple[str, ...]) -> list[Node]:
    kinds = [kind for kind in DRAWN[target] if kind in aimed]
    if not kinds:
        raise UsageError(f"{target!r} is not a target of this fault: it is for {_words(aimed)}")
    return [node for node in runtime.nodes() if node.kind in kinds]


def _pairs(runtime: Breakable) -> list[str]:
    """One name for each two nodes that talk."""
    return list(dict.fromkeys("<->".join(sorted(wire)) for wire in runtime.links()))


def _names(runtime: Runtime, target: str, aimed: tuple[str, ...]) -> list[str]:
    there = runtime.nodes()
    found = [node for node in there if node.name == target]
    if not found and target in GROUPS:
        found = [node for node in there if node.kind in GROUPS[target] and node.kind in aimed]
    elif not found:
        found = [node for node in there if node.kind == "service" and node.service == target] or _shared(there, target)
    if not found:
        services = dict.fromkeys(node.service for node in there if node.service)
        known = [*(node.name for node in there), *services, *GROUPS, *DRAWN]
        raise UsageError(f"no target {target!r}; there are: {', '.join(known)}")
    if any(node.kind not in aimed for node in found):
        raise UsageError(f"{target!r} is not a target of this fault: it is for {_words(aimed)}")
    return [node.name for node in found]


def _shared(there: tuple[Node, ...], target: str) -> list[Node]:
    """The one store there is, where it is called that of a service which has none of its own."""
    service, stores = target.removesuffix("-store"), [node for node in there if node.kind == "store"]
    known = target.endswith("-store") and any(node.service == service for node in there if node.kind == "service")
    return stores if known and len(stores) == 1 else []


def _wires(runtime: Runtime, there: tuple[LinkId, ...], target: str) -> set[LinkId]:
    left, arrow, right = target.partition("<->") if "<->" in target else target.partition("->")
    one = set(_names(runtime, left, AIMED["nodes"]))
    if arrow:
        other = set(_names(runtime, right, AIMED["nodes"]))
        found = {wire for wire in there if wire[0] in one and wire[1] in other}
        if arrow == "<->":
            found |= {wire for wire in there if wire[0] in other and wire[1] in one}
    else:
        found = {wire for wire in there if wire[0] in one or wire[1] in one}
    if not found:
        raise UsageError(f"no link {target!r}: services talk to each other's services and to their own store")
    return found


def _words(aimed: tuple[str, ...]) -> str:
    return " and ".join(f"{kind}s" for kind in aimed)
