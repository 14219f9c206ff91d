"""The pages of `wdm serve` over the folder of the runs, for a browser on this machine."""
