"""Amounts: whole numbers from 0 to 2^53, the largest range that Lua's doubles and JSON readers keep exact."""

import re

LIMIT = 2**53
_DIGITS = re.compile(r"[0-9]{1,16}", re.ASCII)


class BadAmount(ValueError):
    """The text is no amount; the message names the value and the rule."""


def parse(name: str, text: str, limit: int = LIMIT) -> int:
    """Return ``text`` as an amount. Raises ``BadAmount`` with ``name``, the value and the range."""
    if not _DIGITS.fullmatch(text) or int(text) > limit:
        raise BadAmount(f"{name} must be a whole number from 0 to {limit}, not {text!r}")
    return int(text)
