"""Who judges which field of which answer: a row for each route of the public contract and each field of its bodies.

`STATUS` stands for the status of a success, which is an answer of its own where the body is words. An edit is one of
`violations` or, where it makes the verdict unknown, of `benign.UNDECIDED`. Requests that no client of a run makes, and words
for people, are judged by the test that is named.
"""

from typing import NamedTuple

STATUS = "(status)"
ERROR = "error"


class By(NamedTuple):
    """`checker` names a row of `harness.checkers.CHECKERS`, `edit` a row of the corpus that it detects."""

    checker: str
    edit: str


class ByTest(NamedTuple):
    """A test by its place: `file::name`."""

    place: str


API, COURSE = "tests/contract/test_api.py", "tests/contract/test_course.py"
BY_HAND = ByTest(f"{COURSE}::test_a_payment_by_hand_is_taken_once_and_given_back_once")
STATUS_ROUTES = ByTest(f"{COURSE}::test_a_checkout_is_nothing_that_can_be_cancelled")
BATCHES = ByTest(f"{API}::test_batch_init_makes_numbered_items_users_and_orders")

DENIAL = By("answers", "a denial in words")
ABOUT = {
    "order_id": By("answers", "a refusal about another order"),
    "item_id": By("answers", "a refusal about another item"),
    "user_id": By("answers", "a refusal about another user"),
    ERROR: DENIAL,
}
"""The fields of every refusal, whatever its request."""

FIELDS: dict[tuple[str, str], By | ByTest] = {
    ("POST /orders/create/{user}", "order_id"): By("answers", "an order's id given out twice"),
    ("GET /orders/find/{order}", "order_id"): By("answers", "an answer with another order's id"),
    ("GET /orders/find/{order}", "paid"): By("order-reads", "paid to a client, and unpaid when it looks"),
    ("GET /orders/find/{order}", "items"): By("order-reads", "an acknowledged line missing"),
    ("GET /orders/find/{order}", "user_id"): By("order-reads", "another user in one read of an order"),
    ("GET /orders/find/{order}", "total_cost"): By("order-reads", "a total that is too large in one read"),
    ("POST /orders/addItem/{order}/{item}/{quantity}", STATUS): By("exactly-once", "a line missing at the end"),
    ("POST /orders/addItem/{order}/{item}", STATUS): ByTest(f"{COURSE}::test_an_item_without_a_quantity_is_one"),
    ("POST /orders/checkout/{order}", STATUS): By("exactly-once", "an acknowledged checkout lost"),
    ("POST /orders/checkout/{order}", "order_id"): By("answers", "an accepted checkout of another order"),
    ("POST /orders/checkout/{order}", "ask"): By("answers", "an accepted checkout that sends to another order"),
    ("POST /orders/batch_init/{n}/{n_items}/{n_users}/{item_price}", "msg"): BATCHES,
    ("POST /orders/batch_init/{n}/{n_items}/{n_users}/{item_price}", STATUS): By("answers", "404 for a made order"),
    ("DELETE /orders/remove/{order}", STATUS): By("order-reads", "an order that was removed is found"),
    ("DELETE /orders/removeItem/{order}/{item}", STATUS): By("order-reads", "a line that was removed remains"),
    ("POST /stock/item/create/{price}", "item_id"): By("answers", "an item's id given out twice"),
    ("GET /stock/find/{item}", "stock"): By("conservation", "a negative stock"),
    ("GET /stock/find/{item}", "price"): By("answers", "a price that changed by itself"),
    ("POST /stock/add/{item}/{amount}", STATUS): By("exactly-once", "a delivery applied twice"),
    ("POST /stock/subtract/{item}/{amount}", STATUS): By("exactly-once", "a subtraction lost"),
    ("POST /stock/batch_init/{n}/{starting_stock}/{item_price}", "msg"): BATCHES,
    ("POST /stock/batch_init/{n}/{starting_stock}/{item_price}", STATUS): By("answers", "a price of before batch_init"),
    ("POST /payment/create_user", "user_id"): By("answers", "a user's id given out twice"),
    ("GET /payment/find_user/{user}", "user_id"): By("answers", "an answer with another user's id"),
    ("GET /payment/find_user/{user}", "credit"): By("balance-reads", "a balance that nothing explains"),
    ("POST /payment/add_funds/{user}/{amount}", STATUS): By("exactly-once", "a deposit lost"),
    ("POST /payment/pay/{user}/{amount}", STATUS): By("exactly-once", "a withdrawal lost"),
    ("POST /payment/pay/{user}/{order}/{amount}", STATUS): BY_HAND,
    ("POST /payment/cancel/{user}/{order}", STATUS): BY_HAND,
    ("POST /payment/status/{user}/{order}", "paid"): BY_HAND,
    ("GET /payment/status/{user}/{order}", "paid"): STATUS_ROUTES,
    ("GET /payment/status/{order}", "paid"): STATUS_ROUTES,
    ("POST /payment/batch_init/{n}/{starting_money}", "msg"): BATCHES,
    ("POST /payment/batch_init/{n}/{starting_money}", STATUS): By("conservation", "users who were not set anew"),
}
"""Of every success, by route."""
