"""The charts, one file each: a function from figures to a `Figure`, without run folders and templates."""
