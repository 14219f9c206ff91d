"""Histories written as `T(...)` in the order of their numbers.

`x=1` adds element 1 to key x; `X=3` reads elements 1 and 2 of it. Unless times are given, all of them overlap and each has its
own process.
"""

from harness.checkers.transactions import NO_SESSION, Txn


class T:
    """A transaction to be: lower case adds, upper case reads; a tuple of several."""

    def __init__(self, *, status="committed", at=(0, 100), process=NO_SESSION, **effects):
        self.status, self.at, self.process, self.effects = status, at, process, effects

    def txn(self, number):
        adds, reads = [], []
        for name, values in self.effects.items():
            into = adds if name.islower() else reads
            into += [(name.lower(), value) for value in (values if isinstance(values, tuple) else (values,))]
        return Txn(number, self.process, *self.at, self.status, tuple(adds), tuple(reads))


def history(*txns):
    return [txn.txn(number) for number, txn in enumerate(txns)]
