"""What a run came to, for people and for machines. Every report reads the history and its judgement, and nothing else."""
