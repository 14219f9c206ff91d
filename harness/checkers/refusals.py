"""Why something was refused: for what was asked, or because others were not done, or not there."""

import re

from harness.history import Operation

UNREACHED = 424
"""The status of what a service could not do because another one did not answer."""

UNFINISHED = 503
"""The status of a service that does not know at the end of its time limit what will come of it."""

HELD_UP = re.compile(r"locked|time limit|tim(e|ed)[ -]?out|busy|conflict|pending|try again|not finished", re.IGNORECASE)
"""Words of a refusal which has no other reason than that somebody else was not done."""


def is_no_answer(operation: Operation) -> bool:
    """Whether nobody knows what came of it, or nothing did because a service was not reached."""
    return operation.outcome == "unknown" or operation.status == UNREACHED


def is_held_up(operation: Operation) -> bool:
    """Whether a service that was there answered that it could not do it in time."""
    if operation.outcome == "fail":
        return bool(HELD_UP.search(str(operation.value))) and not is_no_answer(operation)
    return operation.outcome == "unknown" and operation.status == UNFINISHED


def is_own_reason(operation: Operation) -> bool:
    """Whether it was refused for what it asked for."""
    return operation.outcome == "fail" and not is_no_answer(operation) and not is_held_up(operation)
