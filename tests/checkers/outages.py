"""Additions to the load of a run in which a node fails, with the answers during the outage and after it."""

from collections.abc import Callable, Sequence

from protocols.shop.services import SERVICES
from tests.checkers.history_builder import HistoryBuilder, changed

SECOND = 1000
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


def node(builder: HistoryBuilder, name: str, state: str, pid: int = 1) -> None:
    service, _, which = name.partition("-")
    kind = "gateway" if name == "gateway" else "store" if which == "store" else "service"
    builder.mark("node", name=name, state=state, pid=pid, kind=kind, service=service if service in SERVICES else "")


def nodes(builder: HistoryBuilder) -> None:
    for name in NODES:
        node(builder, name, "running")


def orders(builder: HistoryBuilder, count: int, item: str = "i1", user: str = "u0") -> list[str]:
    """So many more orders of one piece."""
    names = []
    for _ in range(count):
        names.append(builder.record("create_order", user, process=40)["order_id"])
        builder.record("add_item", names[-1], item, 1, process=40)
    return names


def killed(
    builder: HistoryBuilder, name: str = "payment-1", for_ms: int = 300, meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Kill a node for some time, with reads meanwhile; then it runs again."""
    builder.mark("fault-start", fault="crash", target=name, aimed=[name], down=[])
    builder.record("find_user", "u0", process=41)
    node(builder, name, "down")
    meanwhile()
    builder.now += for_ms
    node(builder, name, "running", 2)
    builder.mark("fault-end", fault="crash", target=name)


def unsuccessful_checkouts(
    builder: HistoryBuilder, names: Sequence[str], every_ms: int = SECOND, outcome: str = "unknown"
) -> None:
    for name in names:
        builder.now += every_ms
        builder.record("checkout", name, outcome=outcome, process=42, happens=False)


def served_after(builder: HistoryBuilder) -> None:
    nodes(builder)
    mine = orders(builder, 4)
    killed(builder)
    unsuccessful_checkouts(builder, mine[:3])
    builder.now += 5 * SECOND
    builder.record("checkout", mine[3], process=43)


def nobody_served_after(builder: HistoryBuilder) -> None:
    """All is there again for ten seconds, and every checkout is answered with nothing certain."""
    nodes(builder)
    mine = orders(builder, 10)
    killed(builder)
    unsuccessful_checkouts(builder, mine)


def refused_for_no_reason_after(builder: HistoryBuilder) -> None:
    nodes(builder)
    mine = orders(builder, 10)
    killed(builder)
    unsuccessful_checkouts(builder, mine, outcome="fail")


def sold_out_after(builder: HistoryBuilder) -> None:
    """Nobody is served, for there is nothing to sell."""
    nodes(builder)
    mine = orders(builder, 10, item="i2")
    killed(builder)
    unsuccessful_checkouts(builder, mine, outcome="fail")


def nothing_can_be_placed_after(builder: HistoryBuilder) -> None:
    """No checkout is requested, because no order comes about."""
    nodes(builder)
    killed(builder)
    for _ in range(8):
        builder.now += SECOND
        builder.record("create_order", "u0", outcome="unknown", happens=False)


def away_until_the_end(builder: HistoryBuilder) -> None:
    """A node that is down until the end of the load leaves no time in which requests could be served."""
    nodes(builder)
    mine = orders(builder, 10)
    killed(builder, for_ms=20 * SECOND, meanwhile=lambda: unsuccessful_checkouts(builder, mine))


def no_checkout_after(builder: HistoryBuilder) -> None:
    nodes(builder)
    killed(builder)
    builder.now += 10 * SECOND
    builder.record("find_user", "u0", process=43)


# ------------------------------------------------------------ locks of a node that stays down

LOCKED = "locked by transaction 7.1 for all of the time limit; nothing happened"
LATE = "not finished within the time limit; nothing happened"


def held_up(builder: HistoryBuilder, op: str, *args: object, words: str = LOCKED, for_ms: int = 2 * SECOND) -> None:
    """An operation waits for so long and is rejected for an unfinished transaction; others succeed meanwhile."""
    at = builder.now
    builder.record("find_user", "u2", process=50, at=(at, at + 1))
    outcome = "unknown" if op.startswith("find_") else "fail"  # as a session records a read that met a lock
    builder.record(op, *args, outcome=outcome, process=51, at=(at, at + for_ms), happens=False)
    builder.operations[-1] = changed(builder.operations[-1], value=words, status=409)


def away(
    builder: HistoryBuilder,
    meanwhile: Callable[[HistoryBuilder, str], object],
    *names: str,
    fault: str = "crash",
    state: str = "down",
) -> None:
    """Nodes go away and stay away until the load is over; there are two orders of item i1, one for the time after."""
    nodes(builder)
    mine, other = orders(builder, 2)
    for name in names:
        builder.mark("fault-start", fault=fault, target=name, aimed=[name], down=[])
        node(builder, name, state)
    builder.now += SECOND
    meanwhile(builder, mine)
    builder.now += SECOND
    for name in names:
        builder.mark("fault-end", fault=fault, target=name)
        node(builder, name, "running", 2)
    builder.record("checkout", other, process=53)


def hot_item_blocked(builder: HistoryBuilder, mine: str, times: int = 4) -> None:
    for _ in range(times):
        held_up(builder, "find_item", "i1")
        held_up(builder, "checkout", mine, words=LATE)


def blocked_by_a_dead_instance(builder: HistoryBuilder) -> None:
    away(builder, hot_item_blocked, "order-1")


def read_blocked_by_a_paused_instance(builder: HistoryBuilder) -> None:
    away(
        builder,
        lambda builder, _: [held_up(builder, "find_item", "i1") for _ in range(4)],
        "order-1",
        fault="pause",
        state="paused",
    )


def user_blocked_by_a_dead_instance(builder: HistoryBuilder) -> None:
    away(builder, lambda builder, _: [held_up(builder, "add_funds", "u0", 1) for _ in range(4)], "order-1", "stock-1")


def order_blocked_by_a_dead_instance(builder: HistoryBuilder) -> None:
    """Its item and its user are free."""

    def meanwhile(builder: HistoryBuilder, mine: str) -> None:
        for _ in range(4):
            held_up(builder, "checkout", mine, words=LATE)
            builder.record("find_item", "i1", process=52)
            builder.record("find_user", "u0", process=52)

    away(builder, meanwhile, "stock-1")


def blocked_by_an_outage(builder: HistoryBuilder) -> None:
    """Who only wants to look at an item needs no payment."""
    away(builder, lambda builder, _: [held_up(builder, "find_item", "i1") for _ in range(4)], "payment-1")


def blocked_for_a_while(builder: HistoryBuilder) -> None:
    away(builder, lambda builder, mine: hot_item_blocked(builder, mine, 1), "order-1")


def blocked_twice(builder: HistoryBuilder) -> None:
    """Free in between, as one answer shows."""

    def meanwhile(builder: HistoryBuilder, mine: str) -> None:
        for _ in range(3):
            hot_item_blocked(builder, mine, 1)
            builder.record("find_item", "i1", process=52)
            builder.record("find_user", "u0", process=52)
            builder.record("find_order", mine, process=52)

    away(builder, meanwhile, "order-1")


def blocked_without_its_service(builder: HistoryBuilder) -> None:
    away(builder, hot_item_blocked, "stock-1", "stock-2")


def blocked_without_a_coordinator(builder: HistoryBuilder) -> None:
    away(builder, hot_item_blocked, "order-1", "order-2")


def checkouts_without_payment(builder: HistoryBuilder) -> None:
    """Whoever buys needs the service that is away."""
    away(builder, lambda builder, mine: [held_up(builder, "checkout", mine, words=LATE) for _ in range(6)], "payment-1")


def given_to_a_silent_instance(builder: HistoryBuilder) -> None:
    """A checkout may have been given to the one that is paused."""
    away(
        builder,
        lambda builder, mine: [held_up(builder, "checkout", mine, words=LATE) for _ in range(6)],
        "stock-1",
        fault="pause",
        state="paused",
    )


def poor_while_away(builder: HistoryBuilder) -> None:
    """Rejections for the content, however many."""
    away(
        builder,
        lambda builder, mine: [
            held_up(builder, "checkout", mine, words="not enough credit of user u0") for _ in range(6)
        ],
        "order-1",
    )
