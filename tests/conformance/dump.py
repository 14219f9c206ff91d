"""The whole state of a Valkey server in the twin's shape, so that both compare with ``==``."""

from typing import Any

import redis

from protocols.service.codec import decode_result

_NUMBERS = {"balance", "price", "paid", "held", "due", "life", "newest", "number"}
_COUNTERS = {"enlisted", "note:next"}
_PACKED = {
    "horizon",
    "announced",
    "prepared",
    "queued",
    "open",
    "committed",
    "saga",
    "note:log",
    "note:paid",
    "note:compensated",
}
_ARRAYS = range(0x90, 0xA0)  # how a short packed array begins, and no text does


def _packed_fence(key: str, value: bytes) -> bool:
    return key.startswith("fence:") and value[0] in _ARRAYS


def dump(server: redis.Redis) -> dict[str, dict[str, Any]]:
    """Every key of the server as a table of the twin."""
    return {key.decode(): _table(server, key.decode()) for key in sorted(server.keys("*"))}


def _table(server: redis.Redis, key: str) -> dict[str, Any]:
    if server.type(key) == b"zset":
        return {member.decode(): int(score) for member, score in server.zrange(key, 0, -1, withscores=True)}
    fields = {field.decode(): value for field, value in server.hgetall(key).items()}
    return {field: _value(key, field, value) for field, value in fields.items()}


def _value(key: str, field: str, value: bytes) -> Any:
    if (
        key in _PACKED
        or key in ("keys:0", "keys:1")
        or field == "items"
        or field.startswith(("begun:", "verdict:"))
        or key.startswith(("branches:", "payments:"))
    ):
        return decode_result(value)
    if _packed_fence(key, value):
        return decode_result(value)
    if key in _COUNTERS or field in _NUMBERS:
        return int(value)
    return value.decode()
