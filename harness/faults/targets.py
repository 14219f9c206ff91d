"""The names of targets, and the nodes or links for which they stand.

For a fault of nodes: a node (`order-1`, `stock-store`, `broker`, `elector`), a store with copies (all its servers), a service
(`order`: all its workers), `services`, `stores`, `all` (both, the broker and the elector), `any`, `any-service` or `any-store`
(one of them, drawn), `stock-store:primary` or `any-store:primary` (the primary at the start of the fault), `stock-store:copy` or
`any-store:copy` (one of the other copies then). For a fault of links: `order->stock` (the connections that order's workers open
to stock's), `order<->stock` (both ways), the name of nodes as above (every link from or to them), `any` (one linked pair, drawn).
Both sides of an arrow are names of nodes as above. Where services share one store, the store of each is that one.
"""

from collections.abc import Iterable
from random import Random

from harness.faults.base import Aim
from harness.runtimes.base import Breakable, LinkId, Node, Runtime
from protocols.errors import UsageError

GROUPS = {"services": ("service",), "stores": ("store",), "all": ("service", "store", "broker", "elector")}
DRAWN = {"any": ("service", "store", "broker", "elector"), "any-service": ("service",), "any-store": ("store",)}
ROLES = ("primary", "copy")
ANY_STORE = "any-store"
ARROWS = ("<->", "->")
AIMED = {
    "nodes": ("service", "store", "broker", "gateway", "elector"),
    "services": ("service",),
    "drained": ("service", "gateway"),
    "stores": ("store",),
}


def draw(runtime: Breakable, aim: Aim, targets: Iterable[str], rng: Random) -> tuple[str, ...]:
    """Return the targets with a drawn name for every `any`; without one, nothing is drawn from `rng`."""
    return tuple(_drawn(runtime, aim, target, rng) for target in targets)


def nodes(runtime: Runtime, aim: Aim, targets: Iterable[str]) -> tuple[Node, ...]:
    """Return the nodes of these targets, without repetition, in the order of the runtime.

    Raises `UsageError` naming an unknown target.
    """
    chosen = {name for target in targets for name in _names(runtime, target, AIMED[aim])}
    return tuple(node for node in runtime.nodes() if node.name in chosen)


def links(runtime: Breakable, targets: Iterable[str]) -> tuple[LinkId, ...]:
    """Return the links of these targets, without repetition, in the order of the runtime.

    Raises `UsageError` naming an unknown target.
    """
    all_links = runtime.links()
    chosen = {link for target in targets for link in _links_of(runtime, all_links, target)}
    return tuple(link for link in all_links if link in chosen)


def check(runtime: Breakable, aim: Aim, targets: Iterable[str]) -> None:
    """Raise `UsageError` for a target that does not exist or is of the wrong kind."""
    for target in targets:
        if aim == "links":
            if target != "any":
                links(runtime, (target,))
        elif target in DRAWN:
            _pool(runtime, target, AIMED[aim])
        elif ":" in target:
            _in_role(runtime, target)
        else:
            nodes(runtime, aim, (target,))


def _drawn(runtime: Breakable, aim: Aim, target: str, rng: Random) -> str:
    if ":" in target:
        arrow = next((arrow for arrow in ARROWS if arrow in target), None)
        sides = target.split(arrow) if arrow else [target]
        return (arrow or "").join(_drawn_role(runtime, side, rng) if ":" in side else side for side in sides)
    if target not in (("any",) if aim == "links" else DRAWN):
        return target
    pool = _pairs(runtime) if aim == "links" else [node.name for node in _pool(runtime, target, AIMED[aim])]
    if not pool:
        raise UsageError(f"{target!r} is empty: this deployment has no target of this fault")
    return rng.choice(pool)


def _pool(runtime: Runtime, target: str, kinds: tuple[str, ...]) -> list[Node]:
    drawn_kinds = [kind for kind in DRAWN[target] if kind in kinds]
    if not drawn_kinds:
        raise UsageError(f"{target!r} is not a target of this fault: it is for {_join(kinds)}")
    return [node for node in runtime.nodes() if node.kind in drawn_kinds]


def _pairs(runtime: Breakable) -> list[str]:
    """Return one name for each pair of linked nodes."""
    return list(dict.fromkeys("<->".join(sorted(link)) for link in runtime.links()))


def _drawn_role(runtime: Breakable, target: str, rng: Random) -> str:
    names = _in_role(runtime, target)
    if not names:
        raise UsageError(f"{target!r} is empty now: the store has no primary")
    return rng.choice(names)


def _in_role(runtime: Breakable, target: str) -> list[str]:
    """Return the nodes that are a store's primary, or its other copies, now. Raises `UsageError` for a store without copies."""
    role = target.partition(":")[2]
    if role not in ROLES:
        raise UsageError(f"{role!r} of {target!r} is not one of: {', '.join(ROLES)}")
    chosen = set(_names(runtime, target, AIMED["stores"]))
    stores = [store for store in copies_by_store(runtime.nodes()).values() if chosen.issuperset(store)]
    if not any(len(store) > 1 for store in stores):
        raise UsageError(f"{target!r} is not a target here: the store has no copies")
    primaries = set(runtime.primaries().values())
    known = [store for store in stores if primaries.intersection(store)]
    return [copy for store in known for copy in store if (copy in primaries) == (role == "primary")]


def copies_by_store(all_nodes: Iterable[Node]) -> dict[str, list[str]]:
    """Return the servers of each store, by its name."""
    stores: dict[str, list[str]] = {}
    for node in all_nodes:
        if node.kind == "store":
            stores.setdefault(f"{node.service}-store", []).append(node.name)
    return stores


def _names(runtime: Runtime, target: str, kinds: tuple[str, ...]) -> list[str]:
    all_nodes = runtime.nodes()
    name, _, role = target.partition(":")
    if role:  # all copies that may have it
        target = "stores" if name == ANY_STORE else name
    matches = [node for node in all_nodes if node.name == target]
    if not matches and target in GROUPS:
        matches = [node for node in all_nodes if node.kind in GROUPS[target] and node.kind in kinds]
    elif not matches:
        workers = [node for node in all_nodes if node.kind == "service" and node.service == target]
        matches = workers or _servers(all_nodes, target)
    if not matches:
        services = dict.fromkeys(node.service for node in all_nodes if node.service)
        known = [*(node.name for node in all_nodes), *services, *GROUPS, *DRAWN]
        raise UsageError(f"no target {target!r}; there are: {', '.join(known)}")
    if any(node.kind not in kinds for node in matches):
        raise UsageError(f"{target!r} is not a target of this fault: it is for {_join(kinds)}")
    return [node.name for node in matches]


def _servers(all_nodes: tuple[Node, ...], target: str) -> list[Node]:
    """Return the servers of `stock-store`, or that of `stock-store-2`; for a service without a store, those of the only one."""
    service, mark, number = target.partition("-store")
    if not mark or all(node.service != service for node in all_nodes if node.kind == "service"):
        return []
    servers = [node for node in all_nodes if node.kind == "store"]
    own = [node for node in servers if node.service == service]
    if not own and len({node.service for node in servers}) > 1:
        return []
    return [node for node in own or servers if not number or node.name.endswith(f"-store{number}")]


def _links_of(runtime: Runtime, all_links: tuple[LinkId, ...], target: str) -> set[LinkId]:
    left, arrow, right = target.partition("<->") if "<->" in target else target.partition("->")
    left_names = set(_names(runtime, left, AIMED["nodes"]))
    if arrow:
        right_names = set(_names(runtime, right, AIMED["nodes"]))
        matches = {link for link in all_links if link[0] in left_names and link[1] in right_names}
        if arrow == "<->":
            matches |= {link for link in all_links if link[0] in right_names and link[1] in left_names}
    else:
        matches = {link for link in all_links if link[0] in left_names or link[1] in left_names}
    if not matches:
        raise UsageError(f"no link {target!r}: services have links to other services and to their own store")
    return matches


def _join(kinds: tuple[str, ...]) -> str:
    return " and ".join(f"{kind}s" for kind in kinds)
