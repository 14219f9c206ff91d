"""The handlers of the order service: orders and their checkout."""

from protocols.backoff import Backoff
from protocols.core import Command
from protocols.outcomes import Decision, Outcome, Reason
from protocols.ports import StoreDown, TimeLimit
from protocols.shop.amounts import LIMIT, parse
from protocols.shop.batches import ORDER_BYTES, in_chunks, parse_count
from protocols.shop.request_context import (
    DONE,
    FIRST_PAUSE_MS,
    LONGEST_PAUSE_MS,
    UNKNOWN,
    Answer,
    RequestContext,
    refused,
)
from protocols.store.tables import Result

CHUNK = 500
REJECTED = (Decision.REFUSED, Decision.CONFLICT)


async def create(context: RequestContext, user: str) -> Answer:
    order = await context.create(Command("create_order", (context.new_id(), user)))
    return Answer(200, {"order_id": order})


async def find(context: RequestContext, order: str) -> Answer:
    match await context.store.call(Command("find_order", (order,))):
        case ("found", user, paid, total, items):
            lines = [[item, quantity] for item, quantity in items]
            fields = {"order_id": order, "paid": bool(paid), "items": lines, "user_id": user, "total_cost": total}
            return Answer(200, fields)
        case result:
            return _refusal(result, order_id=order)


async def add_item(context: RequestContext, order: str, item: str, quantity: str) -> Answer:
    count = parse("quantity", quantity)
    price = await _price(context, item)
    if isinstance(price, Answer):
        return await _conclude(context, order, price)
    if count * price > LIMIT:
        why = refused(400, f"{count} times the price {price} exceeds {LIMIT}", order_id=order, item_id=item)
        return await _conclude(context, order, why)
    result = await context.change(Command("add_item", (order, item, count, price)))
    return DONE if result[0] == "ok" else _refusal(result, order_id=order)


async def _conclude(context: RequestContext, order: str, rejection: Answer) -> Answer:
    """Make a rejection by the price final: another copy of the request may have read another price."""
    if not rejection.final or isinstance(rejection.body, str):
        return rejection
    result = await context.conclude(order, ("rejected", rejection.status, str(rejection.body.get("error", ""))))
    return DONE if result[0] == "ok" else _refusal(result, **_subjects(rejection.body))


def _subjects(body: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in body.items() if name != "error"}


async def add_one(context: RequestContext, order: str, item: str) -> Answer:
    """Add one piece: older clients send no quantity."""
    return await add_item(context, order, item, "1")


async def remove_item(context: RequestContext, order: str, item: str) -> Answer:
    result = await context.change(Command("remove_item", (order, item)))
    return DONE if result[0] == "ok" else _refusal(result, order_id=order, item_id=item)


async def remove(context: RequestContext, order: str) -> Answer:
    result = await context.change(Command("remove_order", (order,)))
    return DONE if result[0] == "ok" else _refusal(result, order_id=order)


async def checkout(context: RequestContext, order: str) -> Answer:
    assert context.checkout is not None
    limit = TimeLimit(context.limit_ms)
    outcome, txn = await context.checkout(order, context.key)
    if outcome is not None and context.key and outcome.decision in REJECTED:
        return await _reject(context, order, txn, outcome.reason, limit)
    return _answer(order, outcome)


async def _reject(context: RequestContext, order: str, txn: str, reason: Reason, limit: TimeLimit) -> Answer:
    """Return the rejection of a checkout once it is final for every copy of the request, which may be under way.

    Another transaction of the order, perhaps a copy's, delays it until the time limit.
    """
    backoff = Backoff(FIRST_PAUSE_MS, LONGEST_PAUSE_MS, context.rng)
    try:
        while True:
            match await context.reject_checkout(order, txn, str(reason)):
                case ("no", why):
                    return _not_paid(order, Reason.parse(why))
                case ("paid",):
                    return Answer(200, "paid")
            if limit.left_ms < backoff.pause_ms:
                return UNKNOWN
            await context.clock.sleep(backoff.next_ms())
    except StoreDown:
        return UNKNOWN  # the rejection is not stored, so it is not final


async def batch_init(context: RequestContext, n: str, n_items: str, n_users: str, item_price: str) -> Answer:
    count = parse_count(context, n, ORDER_BYTES)
    price = parse("item_price", item_price, limit=LIMIT // 2)
    items, users = parse("n_items", n_items), parse("n_users", n_users)
    if count and not (items and users):
        return refused(400, f"{count} orders need at least one item and one user, not {items} and {users}")
    draw = context.rng.randrange

    async def init(first: int, chunk: int, _limit: TimeLimit) -> Result:
        rows = tuple((str(draw(users)), str(draw(items)), str(draw(items))) for _ in range(chunk))
        # `once`: a repeated command that arrives late would reset orders that have changed since.
        return await context.change(Command("init_orders", (first, price, rows)), part=f"/{first}")

    short = await in_chunks(context, count, CHUNK, init, _refusal)
    return short or Answer(200, {"msg": f"{count} orders initialised"})


async def _price(context: RequestContext, item: str) -> int | Answer:
    """Return the item's price, or the answer with the reason why there is none. This is only a read: nothing has happened yet."""
    fields = await context.read("stock", "/find", item)
    if isinstance(fields, Answer):
        return fields
    price = fields.get("price")
    if type(price) is not int or not 0 <= price <= LIMIT:
        return refused(424, f"the stock service answered {price!r} as the price; nothing happened", item_id=item)
    return price


def _answer(order: str, outcome: Outcome | None) -> Answer:
    if outcome is None:
        return UNKNOWN
    if outcome.decision is Decision.COMMITTED:
        return Answer(200, "paid")
    if outcome.decision is Decision.ACCEPTED:
        return Answer(202, {"order_id": order, "ask": f"/orders/find/{order}"})
    return _not_paid(order, outcome.reason)


def _not_paid(order: str, reason: Reason) -> Answer:
    kind, _, name = reason.key.partition(":")
    match reason.code:
        case "missing":
            return refused(404, f"unknown {kind} {name}", order_id=order)
        case "short":
            return refused(
                409, f"not enough {'stock of item' if kind == 'item' else 'credit of user'} {name}", order_id=order
            )
        case "negative":
            return refused(409, "a line of the order is below 0", order_id=order)
        case "other":
            return refused(422, f"the idempotency {name} belongs to another request; nothing happened", order_id=order)
        case "timeout":
            return refused(409, "not finished within the time limit; nothing happened", order_id=order)
    return refused(409, f"refused: {reason}", order_id=order)


def _refusal(result: Result, **subjects: str) -> Answer:
    match result:
        case ("missing",):
            return refused(404, "unknown order", **subjects)
        case ("paid",):
            return refused(409, "the order is paid", **subjects)
        case ("busy", txn):
            return refused(409, f"the order is being checked out by transaction {txn}", **subjects)
        case ("rejected", status, error):
            return refused(status, error, **subjects)
        case ("absent",):
            return refused(404, "the order has no such item", **subjects)
        case ("over", total):
            return refused(409, f"total {total} or quantities would exceed {LIMIT}", **subjects)
    raise AssertionError(f"the ledger answered {result!r}")
