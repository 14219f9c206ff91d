"""Where a shop runs: each runtime starts, breaks and stops it behind the same small port (`base.py`)."""
