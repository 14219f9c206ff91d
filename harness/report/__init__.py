"""The reports of runs and benches, for readers and for programs. Every report reads the history and its judgement alone."""
