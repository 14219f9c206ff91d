"""Three copies of each store, of which any one may die: `copies` beside `workers`.

One copy is the primary. A client of the store sends its commands in bundles, and uses the results of a bundle only when another
copy has it too (`protocols.service.copies.client`). An elector chooses the primary (`elector.py`): it revokes, compares, and
establishes. The rules, each of them a safeguard:

1. `confirm`: a bundle counts only if a second copy has it (WAIT answers 1 or more). Before, its results go to nobody.
2. `write-with-reads`: a bundle of reads ends with a write as well. WAIT asks for the last write of the connection, so behind
   reads alone it would say yes to a primary that has been replaced.
3. `refuse-other-epoch`: that write names the epoch that its sender knows, and is refused in another one.
4. `majority`: an elector acts on two copies at least, so two electors, and a former primary with its follower, always share one.
5. `revoke`: an elector first takes these copies from their primary: nothing more can be confirmed there.
6. `compare`: then it makes that copy the primary which has most: the largest (epoch, bundles).
7. `promise`: a copy that was revoked for one ballot refuses every smaller one. Ballots are epochs, and no two electors share one.
8. `follow-nobody`: a server starts as a follower of nobody. A primary that comes back empty must not be followed.

An empty copy is no member of a majority beside one copy with data: it may have lost what it has confirmed.

Sougoumarane, "Consensus algorithms at scale", parts 4 and 5 (2020): revoke, establish, and the choice of the newest. The ballots
are those of Lamport, "The part-time parliament", TOCS 16(2), 1998, section 2. Compare Ongaro and Ousterhout, "In search of an
understandable consensus algorithm", 2014, section 5.4.1: a vote only for a log that is at least as complete.
"""

from protocols.claims import Safeguard

COPIES = 3
MAJORITY = 2
ELECTOR = "elector"
"""The user of electors, at each server."""
NOBODY = ("127.0.0.1", "1")
"""The primary of a follower of nobody: nobody listens at this port."""

SAFEGUARDS = tuple(
    Safeguard(*rule, searched=False)
    for rule in (
        ("confirm", "a bundle counts only if a second copy has it", "a failover loses what was acknowledged"),
        ("write-with-reads", "a bundle of reads ends with a write", "a primary that was replaced answers with old data"),
        ("refuse-other-epoch", "a bundle names its epoch", "a bundle counts that a failover has split, and lost"),
        ("majority", "an elector acts on two copies at least", "two primaries at once"),
        ("revoke", "copies are taken from the old primary before the choice", "it confirms writes that the choice has missed"),
        ("compare", "the copy with the most becomes primary", "a failover loses what was acknowledged"),
        ("promise", "a copy refuses a ballot smaller than one before", "two electors undo each other's work"),
        ("follow-nobody", "a server starts as a follower without a primary", "a primary that is empty empties its copies"),
    )
)  # fmt: skip
"""The rules above, by name. They matter for a store with copies only."""
