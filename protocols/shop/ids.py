"""Ids: the names of items, users and orders. An id is any text that a path can carry and that reads back as it was."""

import re
from collections.abc import Mapping

LONGEST = 255
NAMES = frozenset({"item", "user", "order"})
_SHOWN = 80
_NEVER = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_STEPS = frozenset({".", ".."})


class BadId(ValueError):
    """The text is no id; the message names the value and the rule."""


def check(name: str, text: str) -> None:
    """Raise ``BadId`` unless ``text`` is 1 to 255 bytes of UTF-8 without control characters and path steps."""
    if _NEVER.search(text):
        raise BadId(f"{name} must not contain control characters or bytes that are no UTF-8, as {shown(text)} does")
    if not 0 < len(text.encode()) <= LONGEST:
        raise BadId(f"{name} must have 1 to {LONGEST} bytes, not {len(text.encode())}: {shown(text)}")
    if "." in text and _STEPS.intersection(text.replace("\\", "/").split("/")):
        raise BadId(f"{name} must not contain the path steps . and .., as {shown(text)} does")


def check_all(parameters: Mapping[str, str]) -> None:
    """Check every parameter that is an id. Raises ``BadId``."""
    for name in NAMES & parameters.keys():
        check(name, parameters[name])


def check_escapes(raw_path: str) -> None:
    """Raise ``BadId`` for a percent sign without two digits, or escapes that are no UTF-8: they would be read in two ways."""
    if "%" not in raw_path and raw_path.isascii():
        return
    broken = _ESCAPE.search(raw_path)
    if broken:
        raise BadId(f"a % must be followed by two hexadecimal digits, not {shown(raw_path[broken.start() :][:3])}")
    try:
        bytes(_unescaped(raw_path)).decode()
    except UnicodeDecodeError:
        raise BadId(f"an id must be UTF-8, not {shown(raw_path)}") from None


def _unescaped(raw_path: str) -> bytes:
    return re.sub(
        rb"%([0-9A-Fa-f]{2})",
        lambda escape: bytes.fromhex(escape[1].decode()),
        raw_path.encode("utf-8", "surrogateescape"),
    )


def shown(text: str) -> str:
    """Return ``text`` for an answer or a log line: bounded, in ASCII."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
