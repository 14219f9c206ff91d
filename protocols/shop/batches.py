"""``batch_init``: many things in one request, a bounded number of them in one command.

A request ends at its time limit, and when its client has left. What had been set anew by then stays so, and the answer says how
much that was: a 5xx, for a 4xx would say that nothing has happened.
"""

from collections.abc import Awaitable, Callable

from protocols.ports import Result, StoreDown, TimeLimit
from protocols.shop.amounts import BadAmount, parse
from protocols.shop.memory import MB
from protocols.shop.request_context import Answer, RequestContext

ACCOUNT_BYTES = 160
ORDER_BYTES = 320
"""What one takes in a store, its key and the store's own tables included, with some room for what is added to it later."""


def how_many(context: RequestContext, text: str, each: int) -> int:
    """``n``, at most as many things of ``each`` bytes as a store has memory for. Raises ``BadAmount``."""
    count, most = parse("n", text), context.memory // each
    if count > most:
        raise BadAmount(
            f"n must be at most {most}, not {count}: a store of {context.memory // MB} MB holds no more of these"
        )
    return count


async def in_pieces(
    context: RequestContext,
    count: int,
    most: int,
    init: Callable[[int, int, TimeLimit], Awaitable[Result]],
    refusal: Callable[[Result], Answer],
) -> Answer | None:
    """``init(first, how many, limit)`` for ``most`` at a time until all are done: None, or how far it came and why no further."""
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
    return Answer(503, {"error": f"{first} of {count} are set anew, the others are as they were: {why}"})
