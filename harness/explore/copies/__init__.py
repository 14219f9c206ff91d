"""Search of every reachable state of one store with three copies: the shipped elector and the shipped rules of a bundle.

- `servers.py`: the copies, with the rules of a Valkey server: what a primary, a follower and a follower of nobody do
- `clients.py`: connections that send bundles, execute and confirm them by `protocols.copies.bundles`
- `electors.py`: the real `Elector`, driven call by call
- `search.py`: the moves, the invariants and the breadth-first search

Every command of a bundle, every write that a follower receives and every change that an elector makes is a move of its own. A
primary dies and comes back, with its data or empty; an elector reaches all copies, or some. Calls that an elector makes at once
are answered in the order of the copies: the case, not the order, decides which copy is the primary.
"""
