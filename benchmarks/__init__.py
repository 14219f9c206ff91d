"""Programs that measure: each prints ratios within one run."""
