"""`batch_init`: many objects in one request, a bounded number of them in one command.

A request ends at its time limit, and when its client has left. The objects that were reset by then stay so, and the answer
has their number: a 5xx, for a 4xx would mean that nothing has happened.
"""

from collections.abc import Awaitable, Callable

from protocols.ports import StoreDown, TimeLimit
from protocols.shop.amounts import BadAmount, parse
from protocols.shop.memory import MB
from protocols.shop.request_context import Answer, RequestContext
from protocols.store.tables import Result

ACCOUNT_BYTES = 160
ORDER_BYTES = 320
"""The size of one object in a store, with its key, the store's own tables and some room for later additions."""


def parse_count(context: RequestContext, text: str, bytes_each: int) -> int:
    """Parse the parameter `n`. Raises `BadAmount` if the store has no memory for so many objects of `bytes_each`."""
    count, most = parse("n", text), context.memory // bytes_each
    if count > most:
        raise BadAmount(
            f"n must be at most {most}, not {count}: a store of {context.memory // MB} MB holds no more of these"
        )
    return count


async def in_chunks(
    context: RequestContext,
    count: int,
    most: int,
    init: Callable[[int, int, TimeLimit], Awaitable[Result]],
    refusal: Callable[[Result], Answer],
) -> Answer | None:
    """Call `init(first, count, limit)` for at most `most` objects at a time, until `count` are reset.

    Return None, or the answer with the number that were reset and the reason why the others were not.
    """
    limit = TimeLimit(context.limit_ms)
    for first in range(0, count, most):
        if first and context.gone():
            return _cut_short(first, count, "the client has left")
        if first and limit.left_ms <= 0:
            return _cut_short(first, count, f"{context.limit_ms} ms are over")
        try:
            result = await init(first, min(most, count - first), limit)
        except StoreDown as error:
            if not first:
                raise
            return _cut_short(first, count, str(error))
        if result[0] != "ok":
            return _cut_short(first, count, str(refusal(result).body)) if first else refusal(result)
    return None


def _cut_short(first: int, count: int, why: str) -> Answer:
    return Answer(503, {"error": f"{first} of {count} are reset, the others are as they were: {why}"})
