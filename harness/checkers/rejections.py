"""The reason of a rejection: the content of the request, an unfinished transaction, or an unavailable service."""

import re

from harness.checkers.shop_model import build_model
from harness.history import History, Operation

UNREACHED = 424
"""The status of an operation that failed because another service did not answer."""

UNFINISHED = 503
"""The status of an operation whose outcome is unknown to the service at the end of the time limit."""

ACCEPTED = 202
"""The status of a checkout that was accepted and has no outcome yet."""

HELD_UP = re.compile(r"locked|time limit|tim(e|ed)[ -]?out|busy|conflict|pending|try again|not finished", re.IGNORECASE)
"""Words of a rejection whose only reason is another unfinished transaction."""


def is_unanswered(operation: Operation) -> bool:
    """Whether the outcome is unknown, or a service was not reached."""
    return operation.outcome == "unknown" or operation.status == UNREACHED


def completed_later(history: History, checkout: Operation) -> bool:
    """Whether a checkout was only accepted, and its order is paid at the end."""
    order = history.derive(build_model).orders.get(str(checkout.args[0])) if checkout.status == ACCEPTED else None
    return order is not None and order.paid is True


def is_blocked(operation: Operation) -> bool:
    """Whether an available service answered that it could not execute the operation in time.

    A read that met a lock is recorded as unknown, so the outcome alone does not decide.
    """
    status = operation.status
    if operation.outcome == "ok" or status == UNREACHED:
        return False
    is_refusal = operation.outcome == "fail" or (status is not None and 400 <= status < 500)
    return status == UNFINISHED or (is_refusal and bool(HELD_UP.search(str(operation.value))))


def is_rejected_by_content(operation: Operation) -> bool:
    """Whether an operation was rejected for its content."""
    return operation.outcome == "fail" and not is_unanswered(operation) and not is_blocked(operation)
