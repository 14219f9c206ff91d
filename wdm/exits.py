"""The exit codes, the same for every command."""

from harness.checkers import Verdict

OK, VIOLATED, USAGE, UNKNOWN, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 4, 130

CODES = {Verdict.HOLDS: OK, Verdict.VIOLATED: VIOLATED, Verdict.UNKNOWN: UNKNOWN}

WORST = (OK, UNKNOWN, ENVIRONMENT, VIOLATED, INTERRUPTED)
"""Of several runs the last of these counts."""
