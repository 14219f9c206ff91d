"""The rules of the contract as scripts: each returns how the shop broke it, or None.

A sentence that begins with the name of a defect and a colon is a finding of that name.
"""

from harness.history import Operation
from harness.judge.parts.contract_script import NotPossible, Script, answer, is_rejection
from harness.workload.client import ACCEPTED

UNKNOWN = "no-such-id-7f3a"
LARGEST = 2**53


async def new_user(script: Script) -> str | None:
    credit = await script.credit(await script.user())
    return f"The credit of a new user is {credit}." if credit else None


async def deposits_add(script: Script) -> str | None:
    user = await script.user(30)
    await script.prepared("add_funds", user, 12)
    credit = await script.credit(user)
    return f"After deposits of 30 and 12 the credit is {credit}." if credit != 42 else None


async def payment_has_a_floor(script: Script) -> str | None:
    user = await script.user(50)
    await script.prepared("pay", user, 20)
    credit = await script.credit(user)
    if credit != 30:
        return f"After a payment of 20 from 50 the credit is {credit}."
    refused = await script.do("pay", user, 31)
    credit = await script.credit(user)
    if credit < 0:
        return f"negative-balance: A payment of 31 from 30 left the credit at {credit}."
    return _refused(refused) or (f"A rejected payment left the credit at {credit}, not 30." if credit != 30 else None)


async def new_item(script: Script) -> str | None:
    item = await script.item(7)
    first = await script.prepared("find_item", item)
    if first["stock"] != 0 or first["price"] != 7:
        return f"A new item of price 7 is read as {first}."
    await script.prepared("add_stock", item, 5)
    stock = await script.stock(item)
    return f"After 5 pieces were added the stock is {stock}." if stock != 5 else None


async def stock_has_a_floor(script: Script) -> str | None:
    item = await script.item(1, 5)
    await script.prepared("subtract_stock", item, 2)
    refused = await script.do("subtract_stock", item, 4)
    stock = await script.stock(item)
    if stock < 0:
        return f"negative-balance: Taking 4 pieces of 3 left the stock at {stock}."
    return _refused(refused) or (f"A rejected removal left the stock at {stock}, not 3." if stock != 3 else None)


async def new_order(script: Script) -> str | None:
    user = await script.user()
    order = await script.order(user)
    read = await script.prepared("find_order", order)
    if read["paid"] or read["items"] or read["total_cost"]:
        return f"A new order is read as {read}."
    return f"The order of user {user} names user {read.get('user_id')!r}." if str(read.get("user_id")) != user else None


async def lines_add_up(script: Script) -> str | None:
    first, second = await script.item(3, 10), await script.item(5, 10)
    order = await script.order(await script.user(), (first, 2), (second, 1))
    items, total = await script.contents(order)
    if items != {first: 2, second: 1} or total != 11:
        return f"2 pieces at 3 and 1 at 5 are read as {items} with the total {total}."
    return None


async def one_item_twice(script: Script) -> str | None:
    item = await script.item(3, 10)
    user = await script.user(50)
    order = await script.order(user, (item, 2), (item, 3))
    items, total = await script.contents(order)
    if items != {item: 5} or total != 15:
        return f"2 and 3 pieces of one item at 3 are read as {items} with the total {total}."
    await script.prepared("checkout", order)
    stock = await script.stock(item)
    return f"The checkout of 2 and 3 pieces of 10 left {stock}." if stock != 5 else None


async def checkout_takes_all(script: Script) -> str | None:
    user, item = await script.user(20), await script.item(6, 9)
    order = await script.order(user, (item, 2))
    await script.prepared("checkout", order)
    paid, credit, stock = await script.eventually(lambda: script.state(order, user, item), (True, 8, 7))
    if (paid, credit, stock) != (True, 8, 7):
        return f"After 2 pieces at 6, paid is {paid}, the credit {credit} and not 8, the stock {stock} and not 7."
    return None


async def paid_once(script: Script) -> str | None:
    user, item = await script.user(100), await script.item(6, 9)
    order = await script.order(user, (item, 1))
    await script.prepared("checkout", order)
    again = await script.do("checkout", order)
    broken = await _charged_once(script, "a second checkout", order, user, item)
    if broken:
        return broken
    return f"{answer(again)}." if again.outcome != "ok" and again.status != ACCEPTED else None


async def two_at_once(script: Script) -> str | None:
    user, item = await script.user(100), await script.item(6, 9)
    order = await script.order(user, (item, 1))
    both = await script.at_once("checkout", order)
    broken = await _charged_once(script, "two checkouts at once", order, user, item)
    if broken:
        return broken
    refused = [operation for operation in both if is_rejection(operation)]
    return f"{answer(refused[0])}." if refused else None


async def poor_user(script: Script) -> str | None:
    user, item = await script.user(5), await script.item(6, 9)
    order = await script.order(user, (item, 1))
    refused = await script.do("checkout", order)
    state = await script.eventually(lambda: script.state(order, user, item), (False, 5, 9))
    return _unchanged(refused, state, (False, 5, 9)) or (None if refused.status == ACCEPTED else _refused(refused))


async def sold_out(script: Script) -> str | None:
    user, item = await script.user(50), await script.item(6, 1)
    order = await script.order(user, (item, 2))
    refused = await script.do("checkout", order)
    state = await script.eventually(lambda: script.state(order, user, item), (False, 50, 1))
    return _unchanged(refused, state, (False, 50, 1)) or (None if refused.status == ACCEPTED else _refused(refused))


async def failed_then_paid(script: Script) -> str | None:
    user, item = await script.user(), await script.item(6, 5)
    order = await script.order(user, (item, 1))
    await script.do("checkout", order)
    await script.prepared("add_funds", user, 10)
    again = await script.do("checkout", order)
    if again.outcome == "fail" and await script.paid(order):
        return f"refused-but-happened: {answer(again)}, and the order is paid."
    if again.outcome == "fail":
        return f"never-retried: After the deposit, {answer(again)}."
    return f"After the deposit, {answer(again)}." if again.outcome != "ok" and again.status != ACCEPTED else None


async def empty_order(script: Script) -> str | None:
    order = await script.order(await script.user())
    checkout = await script.do("checkout", order)
    return f"{answer(checkout)}." if checkout.outcome != "ok" and checkout.status != ACCEPTED else None


async def closed_order(script: Script) -> str | None:
    user, item = await script.user(50), await script.item(6, 5)
    order = await script.order(user, (item, 1))
    await script.prepared("checkout", order)
    late = await script.do("add_item", order, item, 1)
    items, _ = await script.contents(order)
    return _refused(late) or (f"The paid order now has {items}." if items != {item: 1} else None)


async def unknown_ids(script: Script) -> str | None:
    order, item = await script.order(await script.user()), await script.item(1)
    for op, args in (
        ("find_user", (UNKNOWN,)), ("find_item", (UNKNOWN,)), ("find_order", (UNKNOWN,)), ("checkout", (UNKNOWN,)),
        ("add_funds", (UNKNOWN, 1)), ("pay", (UNKNOWN, 1)), ("add_stock", (UNKNOWN, 1)), ("subtract_stock", (UNKNOWN, 1)),
        ("add_item", (UNKNOWN, item, 1)), ("add_item", (order, UNKNOWN, 1)),
    ):  # fmt: skip
        broken = _refused(await script.do(op, *args))
        if broken:
            return broken
    return None


async def nonsense(script: Script) -> str | None:
    if not script.http:
        raise NotPossible("an adapter takes numbers and no text")
    user, item = await script.user(10), await script.item(1, 10)
    order = await script.order(user)
    for op, args in (
        ("add_funds", (user, -1)), ("pay", (user, -1)), ("add_stock", (item, -1)), ("subtract_stock", (item, -1)),
        ("add_item", (order, item, -1)), ("create_item", (-1,)), ("add_funds", (user, "1.5")), ("add_stock", (item, "many")),
        ("add_funds", (user, LARGEST + 1)),
    ):  # fmt: skip
        broken = _refused(await script.do(op, *args))
        if broken:
            return broken
    credit, stock = await script.credit(user), await script.stock(item)
    return (
        f"Rejected requests left the credit at {credit}, the stock at {stock}, and not both at 10."
        if (credit, stock) != (10, 10)
        else None
    )


async def many_lines(script: Script) -> str | None:
    user = await script.user(500)
    items = [await script.item(1, 2) for _ in range(100)]
    order = await script.order(user, *((item, 1) for item in items))
    await script.prepared("checkout", order)
    credit = await script.credit(user)
    return f"After a checkout of 100 items at 1, the credit is {credit} and not 400." if credit != 400 else None


async def batches(script: Script) -> str | None:
    for op, args in (("init_users", (5, 40)), ("init_items", (5, 30, 2)), ("init_orders", (5, 5, 5, 2))):
        made = await script.do(op, *args)
        if made.outcome != "ok":
            return f"{answer(made)}."
    credit, stock = await script.credit("0"), await script.stock("0")
    items, total = await script.contents("0")
    if (credit, stock) != (40, 30) or sum(items.values()) != 2 or total != 4:
        return (
            f"batch_init gave credit {credit} and not 40, stock {stock} and not 30, and an order of {items} at {total}."
        )
    await script.prepared("pay", "0", 15)
    await script.prepared("init_users", 5, 40)
    credit = await script.credit("0")
    return f"initialised-twice: After a second batch_init with 40, the credit is {credit}." if credit != 40 else None


async def _charged_once(script: Script, what: str, order: str, user: str, item: str) -> str | None:
    """Return how the state after checkouts of one piece at 6, of 9 and with a credit of 100, is not that of one checkout."""
    expected = (True, 94, 8)
    paid, credit, stock = await script.eventually(lambda: script.state(order, user, item), expected)
    if (paid, credit, stock) == expected:
        return None
    name = "checkout-not-idempotent: " if credit < expected[1] or stock < expected[2] else ""
    return f"{name}After {what}, paid is {paid}, the credit is {credit} and not 94, the stock {stock} and not 8."


def _refused(operation: Operation) -> str | None:
    """Return the sentence about an answer that should have been a 4xx."""
    return None if is_rejection(operation) else f"{answer(operation)}, and not a 4xx."


def _unchanged(checkout: Operation, actual: tuple[bool, int, int], expected: tuple[bool, int, int]) -> str | None:
    if actual == expected:
        return None
    return f"{answer(checkout)}. Then paid, credit and stock are {actual}, and not {expected}."
