"""The exit codes, the same for every command."""

from collections.abc import Mapping

OK, VIOLATED, USAGE, UNKNOWN, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 4, 130

CODES: Mapping[str, int] = {"holds": OK, "violated": VIOLATED, "unknown": UNKNOWN}
"""By verdict. Texts, which a `harness.checkers.Verdict` equals: `wdm --help` does not import the checkers for them."""

WORST = (OK, UNKNOWN, ENVIRONMENT, VIOLATED, INTERRUPTED)
"""Of several runs the last of these counts."""
