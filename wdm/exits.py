"""The exit codes, the same for every command."""

from collections.abc import Mapping

OK, VIOLATED, USAGE, UNKNOWN, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 4, 130

CODES: Mapping[str, int] = {"holds": OK, "violated": VIOLATED, "unknown": UNKNOWN}
"""Exit codes by verdict, as texts that equal `harness.checkers.Verdict`: `wdm --help` then imports no checkers."""

WORST = (OK, UNKNOWN, ENVIRONMENT, VIOLATED, INTERRUPTED)
"""Exit codes in rising order: of several runs the last one counts."""
