"""Campaigns of many runs under faults: seeds, shrinking, replay, the hunt for ablated safeguards and their table."""
