"""Why something was refused: for what was asked, or because others were not done, or not there."""

import re

from harness.checkers.shop_model import build_model
from harness.history import History, Operation

UNREACHED = 424
"""The status of what a service could not do because another one did not answer."""

UNFINISHED = 503
"""The status of a service that does not know at the end of its time limit what will come of it."""

ACCEPTED = 202
"""The status of a checkout that was begun, and of which nobody knows yet how it will end."""

HELD_UP = re.compile(r"locked|time limit|tim(e|ed)[ -]?out|busy|conflict|pending|try again|not finished", re.IGNORECASE)
"""Words of a refusal which has no other reason than that somebody else was not done."""


def is_unanswered(operation: Operation) -> bool:
    """Whether nobody knows what came of it, or nothing did because a service was not reached."""
    return operation.outcome == "unknown" or operation.status == UNREACHED


def completed_later(history: History, checkout: Operation) -> bool:
    """Whether it was only accepted, and its order is paid at the end."""
    order = history.derive(build_model).orders.get(str(checkout.args[0])) if checkout.status == ACCEPTED else None
    return order is not None and order.paid is True


def is_blocked(operation: Operation) -> bool:
    """Whether a service that was there answered that it could not in time; a read that met a lock is recorded as
    unknown.
    """
    status = operation.status
    if operation.outcome == "ok" or status == UNREACHED:
        return False
    is_refusal = operation.outcome == "fail" or (status is not None and 400 <= status < 500)
    return status == UNFINISHED or (is_refusal and bool(HELD_UP.search(str(operation.value))))


def is_rejected_by_content(operation: Operation) -> bool:
    """Whether it was refused for what it asked for."""
    return operation.outcome == "fail" and not is_unanswered(operation) and not is_blocked(operation)
