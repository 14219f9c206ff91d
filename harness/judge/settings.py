"""The settings of an examination that the command line and a batch file share: times with their ranges, isolation levels."""

import re
from collections.abc import Mapping

LEVELS = ("none", "read-uncommitted", "read-committed", "snapshot", "serializable", "strict-serializable")
"""The isolation levels that a shop may claim, the weakest first."""

HOUR_S = 3_600.0
RANGES_S: Mapping[str, tuple[float, float]] = {
    "budget": (10.0, 12 * HOUR_S),
    "settle": (0.0, HOUR_S),
    "answer": (0.1, 300.0),
    "ready_within": (1.0, HOUR_S),
}
"""The least and the longest time of each setting, in seconds."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?")
_SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600}


def seconds(value: object, low_s: float, high_s: float) -> float:
    """Return a time such as `90`, `"90s"`, `"5m"` or `"1h"` in seconds. Raises `ValueError` outside of the range."""
    match = _DURATION.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    time_s = float(match.group(1)) * _SECONDS[match.group(2)] if match else -1.0
    if not low_s <= time_s <= high_s:
        high = f"{high_s / HOUR_S:g}h" if high_s >= HOUR_S else f"{high_s:g}s"
        raise ValueError(f"{value!r} is no time from {low_s:g}s to {high}; give one such as 90s, 5m or 1h")
    return time_s
