"""The runtimes: each starts, breaks and stops a shop behind the same small port (`base.py`)."""
