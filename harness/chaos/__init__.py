"""A chaos run: a shop under load and under faults, recorded, healed and judged."""
