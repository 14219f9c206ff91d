"""The fault `stale-primary`: a primary does not know that it was replaced."""

from harness.faults.base import Aim
from harness.faults.pause import Pause
from harness.runtimes.base import Capability


class StalePrimary(Pause):
    """A pause of the primary that is longer than a failover. When it goes on, clients are still connected to it."""

    name = "stale-primary"
    summary = "the primary of a store is frozen (SIGSTOP) for for_s seconds, is replaced meanwhile, and goes on"
    aim: Aim = "stores"
    needs: frozenset[Capability] = frozenset({"signals", "copies"})
    default: tuple[str, ...] = ("any-store:primary",)
