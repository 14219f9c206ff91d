"""Charts: one file each, a function from figures to a `Figure`. They know no run folder and no template."""
