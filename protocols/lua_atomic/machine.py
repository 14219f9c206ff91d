"""The whole checkout as one atomic function of one store that all services share.

The rules, after Stonebraker et al., "The end of an architectural era", VLDB 2007, section 3 (one site runs a transaction from
its beginning to its end, one after the other: no locks, no undo), and Helland, "Life beyond distributed transactions", CIDR
2007 (the recipient of a message recognizes its repetition):

1. A checkout is one command on the store: it reads the order, the items and the user, and writes all of them or nothing.
2. The command checks all conditions before its first write: the store does not roll back a function that fails half-way.
3. The checkout is durable before its acknowledgement.
4. The same command writes the verdict into the order. A service repeats a command without an answer while an earlier copy may
   still be under way: a late or repeated command returns the stored verdict, and changes nothing.

No other node takes part, so there is no volatile state, no doubt and no recovery:

            (start) --checkout persisted: paid, or the reason against it--> reply to the client
"""

from protocols.core import Command, Config, Done, Effects, Event, Persist, Reply, Start
from protocols.outcomes import Decision, Outcome

MESSAGES = ()


def coordinator(config: Config, state: None, event: Event) -> tuple[None, Effects]:
    """Handle one event. The order service has no volatile state: any instance can run any checkout."""
    match event:
        case Start(txn, request):
            force = Persist(Command("checkout", (txn, request.subject, request.key)))
            if not config.enabled("force-checkout"):
                return None, (Reply(Outcome(Decision.COMMITTED)), force)
            return None, (force,)
        case Done(Command("checkout"), ("paid",)):
            return None, (Reply(Outcome(Decision.COMMITTED)),)
        case Done(Command("checkout"), ("no", why)):
            return None, (Reply(Outcome.rejected(why)),)
    return None, ()


def no_role(config: Config, state: None, event: Event) -> tuple[None, Effects]:
    """Handle no event: stock and payment serve their clients, and have no part in a checkout."""
    return None, ()
