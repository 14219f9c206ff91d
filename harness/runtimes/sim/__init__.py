"""The simulator: the shop's own code in one process, in virtual time, with every choice drawn from one seed."""
