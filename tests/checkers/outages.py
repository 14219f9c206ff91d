"""Additions to the load of the run in which a node goes away, and what the clients are told meanwhile and afterwards."""

from collections.abc import Callable, Sequence

from tests.checkers.tale import Tale, changed

SECOND = 1000
SERVICES = ("order", "stock", "payment")
NODES = (
    "order-1",
    "order-2",
    "stock-1",
    "stock-2",
    "payment-1",
    "order-store",
    "stock-store",
    "payment-store",
    "gateway",
)


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
    tale: Tale, name: str = "payment-1", for_ms: int = 300, meanwhile: Callable[[], object] = lambda: None
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


# ------------------------------------------------------------ what a node that stays away holds

LOCKED = "locked by transaction 7.1 for all of the time limit; nothing happened"
LATE = "not finished within the time limit; nothing happened"


def held_up(tale: Tale, op: str, *args: object, words: str = LOCKED, for_ms: int = 2 * SECOND) -> None:
    """Somebody waits for so long, and hears that somebody else is not done; others are served meanwhile."""
    at = tale.now
    tale.tell("find_user", "u2", process=50, at=(at, at + 1))
    outcome = "unknown" if op.startswith("find_") else "fail"  # as a session records a read that met a lock
    tale.tell(op, *args, outcome=outcome, process=51, at=(at, at + for_ms), happens=False)
    tale.operations[-1] = changed(tale.operations[-1], value=words, status=409)


def away(
    tale: Tale, meanwhile: Callable[[Tale, str], object], *names: str, fault: str = "crash", state: str = "down"
) -> None:
    """Nodes go away and stay away until the load is over; there are two orders of item i1, one for the time after."""
    nodes(tale)
    mine, other = orders(tale, 2)
    for name in names:
        tale.mark("fault-start", fault=fault, target=name, aimed=[name], down=[])
        node(tale, name, state)
    tale.now += SECOND
    meanwhile(tale, mine)
    tale.now += SECOND
    for name in names:
        tale.mark("fault-end", fault=fault, target=name)
        node(tale, name, "running", 2)
    tale.tell("checkout", other, process=53)


def hot_item_blocked(tale: Tale, mine: str, times: int = 4) -> None:
    for _ in range(times):
        held_up(tale, "find_item", "i1")
        held_up(tale, "checkout", mine, words=LATE)


def blocked_by_a_dead_instance(tale: Tale) -> None:
    away(tale, hot_item_blocked, "order-1")


def read_blocked_by_a_paused_instance(tale: Tale) -> None:
    away(
        tale,
        lambda tale, _: [held_up(tale, "find_item", "i1") for _ in range(4)],
        "order-1",
        fault="pause",
        state="paused",
    )


def user_blocked_by_a_dead_instance(tale: Tale) -> None:
    away(tale, lambda tale, _: [held_up(tale, "add_funds", "u0", 1) for _ in range(4)], "order-1", "stock-1")


def order_blocked_by_a_dead_instance(tale: Tale) -> None:
    """Its item and its user are free."""

    def meanwhile(tale: Tale, mine: str) -> None:
        for _ in range(4):
            held_up(tale, "checkout", mine, words=LATE)
            tale.tell("find_item", "i1", process=52)
            tale.tell("find_user", "u0", process=52)

    away(tale, meanwhile, "stock-1")


def blocked_by_an_outage(tale: Tale) -> None:
    """Who only wants to look at an item needs no payment."""
    away(tale, lambda tale, _: [held_up(tale, "find_item", "i1") for _ in range(4)], "payment-1")


def blocked_for_a_while(tale: Tale) -> None:
    away(tale, lambda tale, mine: hot_item_blocked(tale, mine, 1), "order-1")


def blocked_twice(tale: Tale) -> None:
    """Free in between, as one answer shows."""

    def meanwhile(tale: Tale, mine: str) -> None:
        for _ in range(3):
            hot_item_blocked(tale, mine, 1)
            tale.tell("find_item", "i1", process=52)
            tale.tell("find_user", "u0", process=52)
            tale.tell("find_order", mine, process=52)

    away(tale, meanwhile, "order-1")


def blocked_without_its_service(tale: Tale) -> None:
    away(tale, hot_item_blocked, "stock-1", "stock-2")


def blocked_without_a_coordinator(tale: Tale) -> None:
    away(tale, hot_item_blocked, "order-1", "order-2")


def checkouts_without_payment(tale: Tale) -> None:
    """Whoever buys needs the service that is away."""
    away(tale, lambda tale, mine: [held_up(tale, "checkout", mine, words=LATE) for _ in range(6)], "payment-1")


def given_to_a_silent_instance(tale: Tale) -> None:
    """A checkout may have been given to the one that is paused."""
    away(
        tale,
        lambda tale, mine: [held_up(tale, "checkout", mine, words=LATE) for _ in range(6)],
        "stock-1",
        fault="pause",
        state="paused",
    )


def poor_while_away(tale: Tale) -> None:
    """Refused for what was asked, however often."""
    away(
        tale,
        lambda tale, mine: [held_up(tale, "checkout", mine, words="not enough credit of user u0") for _ in range(6)],
        "order-1",
    )
