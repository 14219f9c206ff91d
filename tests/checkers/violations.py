"""Edits that violate one claim each, and the finding that must name it."""

from dataclasses import dataclass

from tests.checkers import outages
from tests.checkers.additions import (
    FAIL_404,
    added_after_payment,
    another_item_refused,
    another_user_refused,
    dearer,
    found_after_removal,
    funds_later,
    maybe_set_anew,
    negative_funds,
    of_ready_made,
    read_failed,
    ready_made,
    repriced,
    same_id,
    set_anew_again,
    still_there_after_removal,
    too_much,
    unpaid,
    users_not_set_anew,
)
from tests.checkers.edits import Edit, answer, both, middle, outcome, plus, read_of, steps
from tests.checkers.history_builder import a_run


@dataclass(frozen=True)
class Violation:
    """`name` is that of the finding; `allowed_without_isolation` if only strict serializability excludes it."""

    edit: Edit
    name: str
    allowed_without_isolation: bool = False


VIOLATIONS: dict[str, Violation] = {
    # money and stock at the end
    "more credit than there can have been before it was set anew": Violation(
        answer("find_user", "0", credit=plus(7), builder=middle(set_anew_again)), "impossible-balance"
    ),
    "more stock than a batch_init without an answer would explain": Violation(
        answer("find_item", "0", number=-1, stock=plus(7), builder=maybe_set_anew(happens=True)), "stock-created"
    ),
    "less stock than with or without it": Violation(
        answer("find_item", "0", number=-1, stock=plus(-7), builder=maybe_set_anew(happens=False)), "stock-destroyed"
    ),
    "a total that is not the sum of its lines, and charged so": Violation(steps(dearer), "wrong-total"),
    "a total that is too large in one read": Violation(answer("find_order", "o1", total_cost=8), "wrong-total"),
    "a total that is too small at the end": Violation(
        answer("find_order", "o1", number=-1, total_cost=0), "wrong-total"
    ),
    "a negative total": Violation(answer("find_order", "o1", total_cost=-7), "impossible-number"),
    "stock sold twice": Violation(answer("find_item", "i1", number=-1, stock=plus(1)), "paid-but-not-taken"),
    "credit charged to another user": Violation(
        steps(read_of("find_user", "u0", credit=plus(13)), read_of("find_user", "u2", credit=plus(-13))),
        "paid-but-not-charged",
    ),
    "a paid order whose charge is missing": Violation(
        answer("find_user", "u0", number=-1, credit=plus(13)), "paid-but-not-charged"
    ),
    "a partial line taken": Violation(answer("find_item", "i0", number=-1, stock=plus(1)), "unexplained-stock"),
    "an amount doubled": Violation(answer("find_user", "u1", number=-1, credit=plus(-12)), "charged-repeatedly"),
    "an unpaid order charged": Violation(answer("find_user", "u2", number=-1, credit=plus(-15)), "charged-but-unpaid"),
    "an unpaid order's stock taken": Violation(
        answer("find_item", "i0", number=-1, stock=plus(-3)), "taken-but-unpaid"
    ),
    "refused, and charged": Violation(answer("find_user", "u1", number=-1, credit=plus(-7)), "charged-but-unpaid"),
    "refused, and paid": Violation(answer("find_order", "o1", number=-1, paid=True), "refused-but-paid"),
    "a refund without a charge": Violation(
        answer("find_user", "u1", number=-1, credit=plus(7)), "refunded-without-charge"
    ),
    "a deposit lost": Violation(answer("find_user", "u0", number=-1, credit=plus(-50)), "acknowledged-effect-lost"),
    "a withdrawal lost": Violation(answer("find_user", "u1", number=-1, credit=plus(10)), "acknowledged-effect-lost"),
    "a delivery applied twice": Violation(
        steps(read_of("find_item", "i1", stock=plus(6)), read_of("find_item", "i0", stock=plus(0))), "effect-repeated"
    ),
    "a subtraction lost": Violation(
        answer(
            "find_item",
            "i1",
            number=-1,
            stock=plus(8),
            builder=middle(lambda builder: builder.record("subtract_stock", "i1", 8)),
        ),
        "acknowledged-effect-lost",
    ),
    "credit out of nothing": Violation(answer("find_user", "u1", number=-1, credit=plus(1000)), "credit-created"),
    "stock destroyed": Violation(answer("find_item", "i1", number=-1, stock=plus(-5)), "stock-destroyed"),
    "a negative stock": Violation(answer("find_item", "i0", stock=-1), "negative-stock"),
    "a negative credit": Violation(answer("find_user", "u1", credit=-1), "negative-credit"),
    "an acknowledged checkout lost": Violation(
        steps(
            read_of("find_order", "o3", paid=unpaid),
            read_of("find_user", "u2", credit=plus(10)),
            read_of("find_item", "i0", stock=plus(2)),
        ),
        "acknowledged-checkout-lost",
    ),
    "paid without a checkout": Violation(
        answer(
            "find_order",
            "o7",
            number=-1,
            paid=True,
            builder=middle(lambda builder: builder.record("create_order", "u0")),
        ),
        "paid-without-checkout",
    ),
    # ids
    "a user's id given out twice": Violation(same_id("create_user", "user_id", 0, 1), "id-given-twice"),
    "an item's id given out twice": Violation(same_id("create_item", "item_id", 0, 2), "id-given-twice"),
    "an order's id given out twice": Violation(same_id("create_order", "order_id", 3, 4), "id-given-twice"),
    "an id of batch_init given out again": Violation(
        answer(
            "create_user",
            number=-1,
            user_id="1",
            builder=middle(lambda builder: (ready_made(builder), builder.record("create_user"))),
        ),
        "id-given-twice",
    ),
    "an answer with another user's id": Violation(answer("find_user", "u0", user_id="u1"), "foreign-answer"),
    "an answer with another order's id": Violation(answer("find_order", "o0", order_id="o1"), "foreign-answer"),
    "a last answer with another user's id": Violation(
        answer("find_user", "u2", number=-1, user_id="u0"), "foreign-answer"
    ),
    "an accepted checkout of another order": Violation(
        outcome("checkout", "o5", status=202, value="202: {'order_id': 'o4', 'ask': '/orders/find/o5'}"),
        "foreign-answer",
    ),
    "an accepted checkout that sends to another order": Violation(
        outcome("checkout", "o5", status=202, value="202: {'order_id': 'o5', 'ask': '/orders/find/o4'}"),
        "foreign-answer",
    ),
    "a refusal about another order": Violation(
        outcome("checkout", "o1", value={"error": "not enough", "order_id": "o2"}), "foreign-answer"
    ),
    "a refusal about another item": Violation(lambda: a_run(middle=another_item_refused), "foreign-answer"),
    "a refusal about another user": Violation(lambda: a_run(middle=another_user_refused), "foreign-answer"),
    "another user in one read of an order": Violation(
        answer("find_order", "o0", user_id="u1"), "order-of-another-user"
    ),
    "another user in every read of an order": Violation(
        both("find_order", "o3", user_id=lambda _: "u0"), "order-of-another-user"
    ),
    "a made order changes hands": Violation(
        of_ready_made("find_order", "0", number=1, user_id="1"), "order-of-another-user"
    ),
    # prices and lines
    "a price that changed by itself": Violation(answer("find_item", "i0", price=6), "wrong-price"),
    "a price that changed at the end": Violation(answer("find_item", "i2", number=-1, price=0), "wrong-price"),
    "a price of before batch_init": Violation(
        answer("find_item", "1", builder=middle(repriced), price=10), "wrong-price"
    ),
    "a line at today's price": Violation(
        answer("find_order", "o7", builder=middle(repriced), total_cost=300), "wrong-total"
    ),
    "an acknowledged line missing": Violation(
        answer("find_order", "o0", items=[["i0", 2]], total_cost=10), "acknowledged-item-missing"
    ),
    "a piece too many in a read": Violation(
        answer("find_order", "o0", items=[["i0", 2], ["i1", 2]], total_cost=16), "item-from-nowhere"
    ),
    "a line missing at the end": Violation(
        answer("find_order", "o1", number=-1, items=[], total_cost=0), "acknowledged-item-lost"
    ),
    "a line twice at the end": Violation(
        answer("find_order", "o1", number=-1, items=[["i2", 1], ["i2", 1]], total_cost=14), "item-added-repeatedly"
    ),
    "a made order with a third line": Violation(
        of_ready_made("find_order", "0", items=[["0", 1], ["1", 1], ["2", 1]], total_cost=15), "item-from-nowhere"
    ),
    "a made order of an item that there is not": Violation(
        of_ready_made("find_order", "0", items=[["0", 1], ["7", 1]]), "item-from-nowhere"
    ),
    "a made order at another price": Violation(
        of_ready_made("find_order", "1", number=-1, total_cost=12), "wrong-total"
    ),
    "changed after it was paid": Violation(lambda: a_run(middle=added_after_payment), "changed-after-payment"),
    "a line that was removed remains": Violation(
        lambda: a_run(middle=still_there_after_removal), "removed-item-remains"
    ),
    "an order that was removed is found": Violation(lambda: a_run(middle=found_after_removal), "removed-order-served"),
    "users who were not set anew": Violation(lambda: a_run(middle=users_not_set_anew), "credit-destroyed"),
    "a denial in words": Violation(
        outcome("find_order", "o2", outcome="fail", status=400, value="unknown order o2"),
        "acknowledged-creation-denied",
    ),
    "a negative quantity": Violation(answer("find_order", "o0", items=[["i0", -2], ["i1", 1]]), "impossible-number"),
    "an amount over the limit": Violation(answer("find_user", "u2", number=-1, credit=2**53 + 1), "impossible-number"),
    "a negative deposit accepted": Violation(lambda: a_run(middle=negative_funds), "nonsense-accepted"),
    "a delivery over the limit accepted": Violation(lambda: a_run(middle=too_much), "nonsense-accepted"),
    # denials in mid-run
    "404 for an acknowledged user": Violation(outcome("find_user", "u0", **FAIL_404), "acknowledged-creation-denied"),
    "404 for an acknowledged item": Violation(outcome("find_item", "i1", **FAIL_404), "acknowledged-creation-denied"),
    "404 for an acknowledged order": Violation(outcome("find_order", "o2", **FAIL_404), "acknowledged-creation-denied"),
    "404 for a deposit": Violation(outcome("add_funds", "u0", number=1, **FAIL_404), "acknowledged-creation-denied"),
    "404 for a checkout": Violation(outcome("checkout", "o1", **FAIL_404), "acknowledged-creation-denied"),
    "404 for a made order": Violation(
        outcome("find_order", "1", builder=middle(ready_made), number=-1, **FAIL_404), "acknowledged-creation-denied"
    ),
    "404 at the end": Violation(outcome("find_order", "o1", number=-1, **FAIL_404), "acknowledged-creation-lost"),
    # reads in mid-run
    "paid to a client, and unpaid when it looks": Violation(
        answer("find_order", "o0", number=1, paid=False), "acknowledged-checkout-missed"
    ),
    "paid to a client, and unpaid when another looks": Violation(
        answer("find_order", "o2", paid=False), "acknowledged-checkout-missed"
    ),
    "paid before the first checkout": Violation(answer("find_order", "o0", paid=True), "paid-before-checkout"),
    "paid after a refusal": Violation(answer("find_order", "o1", paid=True), "refused-then-paid"),
    "a paid order is refused": Violation(
        outcome("checkout", "o2", number=2, outcome="fail", status=409, value="not enough credit"), "paid-order-refused"
    ),
    "a paid order is refused because it is paid": Violation(
        outcome("checkout", "o2", number=2, outcome="fail", status=400, value="order is paid"), "paid-order-refused"
    ),
    "paid, and then not": Violation(
        answer(
            "find_order", "o5", builder=middle(lambda builder: builder.record("find_order", "o5", process=9)), paid=True
        ),
        "paid-then-unpaid",
    ),
    "a deposit missed by its own client": Violation(
        answer("find_user", "u0", number=2, credit=87), "acknowledged-move-missed"
    ),
    "a withdrawal missed by its own client": Violation(
        answer("find_user", "u1", number=0, credit=100), "acknowledged-move-missed"
    ),
    "a deposit of the future": Violation(
        answer("find_user", "u3", builder=middle(funds_later), credit=5), "read-from-the-future"
    ),
    "a checkout of the future": Violation(answer("find_user", "u0", credit=87), "read-from-the-future"),
    "a balance that nothing explains": Violation(answer("find_user", "u0", number=1, credit=88), "impossible-balance"),
    "a stale credit": Violation(
        answer("find_user", "u0", number=1, credit=100), "stale-read", allowed_without_isolation=True
    ),
    "a stale stock": Violation(answer("find_item", "i0", stock=40), "stale-read", allowed_without_isolation=True),
    # while a node is away
    "an item that a dead instance keeps": Violation(
        lambda: a_run(middle=outages.blocked_by_a_dead_instance), "blocked-by-absence"
    ),
    "an item that a paused instance keeps": Violation(
        lambda: a_run(middle=outages.read_blocked_by_a_paused_instance), "blocked-by-absence"
    ),
    "a user whom dead instances keep": Violation(
        lambda: a_run(middle=outages.user_blocked_by_a_dead_instance), "blocked-by-absence"
    ),
    "an order that a dead instance keeps": Violation(
        lambda: a_run(middle=outages.order_blocked_by_a_dead_instance), "blocked-by-absence"
    ),
    "an item that is kept while another service is away": Violation(
        lambda: a_run(middle=outages.blocked_by_an_outage), "blocked-by-outage"
    ),
    # where the scenario requires availability
    "a read that timed out": Violation(read_failed(), "request-failed"),
    "a read over a connection that broke": Violation(read_failed(value="no answer: reset by peer"), "request-failed"),
    "a read answered 424": Violation(read_failed(outcome="fail", status=424, value="not reached"), "request-failed"),
    "a refused checkout seen": Violation(
        answer(
            "find_item",
            "i2",
            builder=middle(lambda builder: (builder.record("add_stock", "i2", 4), builder.record("find_item", "i2"))),
            stock=3,
        ),
        "dirty-read",
        allowed_without_isolation=True,
    ),
}
