"""A small page over the folder of the runs, for whoever sits at this machine."""
