"""The handlers of the stock and the payment service: items and users. An account is a balance that never goes below zero."""

from protocols.core import Command
from protocols.ports import TimeLimit
from protocols.shop.amounts import LIMIT, parse
from protocols.shop.batches import ACCOUNT_BYTES, in_chunks, parse_count
from protocols.shop.request_context import DONE, Answer, RequestContext, refused
from protocols.store.tables import Result

CHUNK = 1_000


async def create_item(context: RequestContext, price: str) -> Answer:
    item = context.new_id()
    account = await context.create(Command("create_account", (f"item:{item}", 0, parse("price", price))))
    return Answer(200, {"item_id": account.removeprefix("item:")})


async def create_user(context: RequestContext) -> Answer:
    user = context.new_id()
    account = await context.create(Command("create_account", (f"user:{user}", 0, 0)))
    return Answer(200, {"user_id": account.removeprefix("user:")})


async def find_item(context: RequestContext, item: str) -> Answer:
    match await context.retry_while_locked(context.store.call, Command("find_account", (f"item:{item}",))):
        case ("found", stock, price):
            return Answer(200, {"stock": stock, "price": price})
        case result:
            return _refusal(result, item_id=item)


async def find_user(context: RequestContext, user: str) -> Answer:
    match await context.retry_while_locked(context.store.call, Command("find_account", (f"user:{user}",))):
        case ("found", credit, _):
            return Answer(200, {"user_id": user, "credit": credit})
        case result:
            return _refusal(result, user_id=user)


async def add_stock(context: RequestContext, item: str, amount: str) -> Answer:
    return await _adjust(context, f"item:{item}", parse("amount", amount), item_id=item)


async def subtract_stock(context: RequestContext, item: str, amount: str) -> Answer:
    return await _adjust(context, f"item:{item}", -parse("amount", amount), item_id=item)


async def add_funds(context: RequestContext, user: str, amount: str) -> Answer:
    return await _adjust(context, f"user:{user}", parse("amount", amount), user_id=user)


async def pay(context: RequestContext, user: str, amount: str) -> Answer:
    return await _adjust(context, f"user:{user}", -parse("amount", amount), user_id=user)


async def pay_order(context: RequestContext, user: str, order: str, amount: str) -> Answer:
    """Pay for an order by hand, as older clients do. A repetition takes nothing more."""
    command = Command("pay_order", (f"user:{user}", order, parse("amount", amount)))
    result = await context.change(command)
    return DONE if result[0] == "ok" else _refusal(result, user_id=user, order_id=order)


async def cancel_order(context: RequestContext, user: str, order: str) -> Answer:
    """Give back the amount of `pay_order`. A repetition gives nothing more; a checkout cannot be cancelled."""
    result = await context.change(Command("cancel_order", (f"user:{user}", order)))
    return DONE if result[0] == "ok" else _refusal(result, user_id=user, order_id=order)


async def status(context: RequestContext, user: str, order: str) -> Answer:
    """Return whether an order is paid, by its checkout or by hand: a request of older clients."""
    _, amount = await context.store.call(Command("find_payment", (f"user:{user}", order)))
    return Answer(200, {"paid": True}) if amount else await order_status(context, order)


async def order_status(context: RequestContext, order: str) -> Answer:
    """Return whether an order is paid by its checkout: the request names no user, so no payment by hand can be found."""
    fields = await context.read("order", "/find", order)
    return fields if isinstance(fields, Answer) else Answer(200, {"paid": fields["paid"]})


async def init_items(context: RequestContext, n: str, starting_stock: str, item_price: str) -> Answer:
    return await _init(context, "item", n, parse("starting_stock", starting_stock), parse("item_price", item_price))


async def init_users(context: RequestContext, n: str, starting_money: str) -> Answer:
    return await _init(context, "user", n, parse("starting_money", starting_money), 0)


async def _adjust(context: RequestContext, key: str, delta: int, **subjects: str) -> Answer:
    result = await context.change(Command("adjust", (key, delta)))
    return DONE if result[0] == "ok" else _refusal(result, **subjects)


async def _init(context: RequestContext, prefix: str, n: str, balance: int, price: int) -> Answer:
    count = parse_count(context, n, ACCOUNT_BYTES)

    async def init(first: int, chunk: int, limit: TimeLimit) -> Result:
        # `once`: a repeated command that arrives late would reset accounts that have changed since.
        command = Command("init_accounts", (prefix, first, chunk, balance, price))
        return await context.change(command, limit, part=f"/{first}")

    short = await in_chunks(context, count, CHUNK, init, _refusal)
    return short or Answer(200, {"msg": f"{count} {prefix}s initialised"})


def _refusal(result: Result, **subjects: str) -> Answer:
    match result:
        case ("missing",):
            return refused(404, "unknown id", **subjects)
        case ("unpaid",):
            return refused(404, "nothing was paid for this order through /payment/pay; a checkout stays", **subjects)
        case ("other", paid):
            return refused(409, f"{paid} is paid for this order already; cancel that first", **subjects)
        case ("short", balance):
            return refused(409, f"only {balance} left", **subjects)
        case ("over", balance):
            return refused(409, f"{balance} there already, and no balance may exceed {LIMIT}", **subjects)
        case ("locked", holder):
            return refused(
                409, f"locked by transaction {holder} for all of the time limit; nothing happened", **subjects
            )
    raise AssertionError(f"the ledger answered {result!r}")
