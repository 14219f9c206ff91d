"""The request header `Idempotency-Key`, with which a client or a gateway may repeat a request.

draft-ietf-httpapi-idempotency-key-header, section 2.1: a string in quotes (RFC 8941); a bare word is accepted too, as most
clients send one.
"""

import re

from protocols.shop.ids import shown

KEY_HEADER = "Idempotency-Key"
FINAL_HEADER = "Wdm-Final"
"""The header of a 4xx that holds for one copy of a request alone: `no` (`request_context.Answer`)."""

LONGEST_KEY = 200
_KEY = re.compile(rf'"?([\x21\x23-\x5b\x5d-\x7e]{{1,{LONGEST_KEY}}})"?')


class BadKey(ValueError):
    """A key that no store keeps: nothing has happened."""


def parse_key(header: str) -> str:
    """Return the key in a header's value, "" for an absent header. Raises `BadKey`."""
    if not header:
        return ""
    match = _KEY.fullmatch(header.strip())
    if match is None:
        raise BadKey(f"an idempotency key has 1 to {LONGEST_KEY} visible ASCII characters, unlike {shown(header)}")
    return match[1]
