"""The whole checkout as one atomic function of one store that all services share.

The rules, after Stonebraker et al., "The end of an architectural era", VLDB 2007, section 3 (one site runs a transaction from
its beginning to its end, one after the other: no locks, no undo), and Helland, "Life beyond distributed transactions", CIDR
2007 (what may arrive twice must be recognised):

1. A checkout is one command on the store: it reads the order, the items and the user, and writes all of them or nothing.
2. It checks everything first and writes last: a function of the store is not rolled back where it stops half-way.
3. It is durable before the client hears of it.
4. The verdict is written down with the order, in the same command. Who asks for a command and hears nothing asks again, and a
   former copy may still be on its way: what comes late or twice hears the verdict, and changes nothing.

There is nobody to ask and nothing to wait for, so there is nothing volatile, nothing in doubt and nothing to recover:

            (start) --checkout persisted: paid, or why not--> tell the client
"""

from protocols.core import Command, Config, Done, Effects, Event, Persist, Reply, Start
from protocols.outcomes import Decision, Outcome

MESSAGES = ()


def coordinator(config: Config, state: None, event: Event) -> tuple[None, Effects]:
    """One step of the order service. It keeps nothing: any instance can do any checkout."""
    match event:
        case Start(txn, request):
            force = Persist(Command("checkout", (txn, request.subject)))
            if not config.enabled("force-checkout"):
                return None, (Reply(Outcome(Decision.COMMITTED)), force)
            return None, (force,)
        case Done(Command("checkout"), ("paid",)):
            return None, (Reply(Outcome(Decision.COMMITTED)),)
        case Done(Command("checkout"), ("no", why)):
            return None, (Reply(Outcome.rejected(why)),)
    return None, ()


def no_role(config: Config, state: None, event: Event) -> tuple[None, Effects]:
    """Stock and payment serve their clients, and have no part in a checkout."""
    return None, ()
