"""The exit codes, the same for every command."""

OK, VIOLATED, USAGE, UNKNOWN, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 4, 130
