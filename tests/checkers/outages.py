"""Additions to the load of the run in which a node goes away, and what the clients are told meanwhile and afterwards."""

from collections.abc import Callable, Sequence

from tests.checkers.tale import Tale

SECOND = 1000
SERVICES = ("order", "stock", "payment")
NODES = ("order-1", "order-2", "stock-1", "payment-1", "order-store", "stock-store", "payment-store", "gateway")


def node(tale: Tale, name: str, state: str, pid: int = 1) -> None:
    service, _, which = name.partition("-")
    kind = "gateway" if name == "gateway" else "store" if which == "store" else "service"
    tale.mark("node", name=name, state=state, pid=pid, kind=kind, service=service if service in SERVICES else "")


def nodes(tale: Tale) -> None:
    for name in NODES:
        node(tale, name, "running")


def orders(tale: Tale, count: int, item: str = "i1", user: str = "u0") -> list[str]:
    """So many more orders of one piece."""
    names = []
    for _ in range(count):
        names.append(tale.tell("create_order", user, process=40)["order_id"])
        tale.tell("add_item", names[-1], item, 1, process=40)
    return names


def killed(
    tale: Tale, name: str = "stock-1", for_ms: int = 300, meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Dead for so long, while somebody reads; then back."""
    tale.mark("fault-start", fault="crash", target=name, aimed=[name], down=[])
    tale.tell("find_user", "u0", process=41)
    node(tale, name, "down")
    meanwhile()
    tale.now += for_ms
    node(tale, name, "running", 2)
    tale.mark("fault-end", fault="crash", target=name)


def asked_in_vain(tale: Tale, names: Sequence[str], every_ms: int = SECOND, outcome: str = "unknown") -> None:
    for name in names:
        tale.now += every_ms
        tale.tell("checkout", name, outcome=outcome, process=42, happens=False)


def served_after(tale: Tale) -> None:
    nodes(tale)
    mine = orders(tale, 4)
    killed(tale)
    asked_in_vain(tale, mine[:3])
    tale.now += 5 * SECOND
    tale.tell("checkout", mine[3], process=43)


def nobody_served_after(tale: Tale) -> None:
    """All is there again for ten seconds, and every checkout is answered with nothing certain."""
    nodes(tale)
    mine = orders(tale, 10)
    killed(tale)
    asked_in_vain(tale, mine)


def refused_for_no_reason_after(tale: Tale) -> None:
    nodes(tale)
    mine = orders(tale, 10)
    killed(tale)
    asked_in_vain(tale, mine, outcome="fail")


def sold_out_after(tale: Tale) -> None:
    """Nobody is served, for there is nothing to sell."""
    nodes(tale)
    mine = orders(tale, 10, item="i2")
    killed(tale)
    asked_in_vain(tale, mine, outcome="fail")


def nothing_can_be_placed_after(tale: Tale) -> None:
    """No checkout is asked for, because no order comes about."""
    nodes(tale)
    killed(tale)
    for _ in range(8):
        tale.now += SECOND
        tale.tell("create_order", "u0", outcome="unknown", happens=False)


def away_until_the_end(tale: Tale) -> None:
    """Who is dead until the load is over leaves no time in which anybody could be served."""
    nodes(tale)
    mine = orders(tale, 10)
    killed(tale, for_ms=20 * SECOND, meanwhile=lambda: asked_in_vain(tale, mine))


def nothing_asked_after(tale: Tale) -> None:
    nodes(tale)
    killed(tale)
    tale.now += 10 * SECOND
    tale.tell("find_user", "u0", process=43)
