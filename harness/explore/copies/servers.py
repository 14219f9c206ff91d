"""The copies of a store as values, and what each request of an elector or a client does to them.

After `harness.runtimes.sim.copy_server`, without time: a synchronisation, and each write that a follower receives, is one move.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from protocols.copies.elector import View

NOBODY = -1
Entry = tuple[Any, ...]
"""A write: ("epoch", number), ("write", bundle), or a counted end of a bundle: ("end", bundle), ("confirm", server)."""
COUNTED = ("end", "confirm")


class CopyState(NamedTuple):
    """One copy. ``holder``: the elector that may change it. ``start``: (primary, follows) of its next life.

    ``in_stream``: it knows its place in the history, so that a synchronisation need not copy it whole. ``online``: it receives
    the writes of the copy that it follows. ``heard``: how many writes each follower has acknowledged, also of followers that have
    left: a primary may notice that late.
    """

    log: tuple[Entry, ...]
    primary: bool = False
    follows: int = NOBODY
    online: bool = False
    in_stream: bool = True
    promised: int = 0
    holder: int = NOBODY
    start: tuple[bool, int] = (False, NOBODY)
    heard: frozenset[tuple[int, int]] = frozenset()
    up: bool = True

    @property
    def epoch(self) -> int:
        return next((entry[1] for entry in reversed(self.log) if entry[0] == "epoch"), 0)

    @property
    def bundles(self) -> int:
        return sum(entry[0] in COUNTED for entry in self.log)

    @property
    def written(self) -> frozenset[str]:
        """Return the bundles whose writes it has."""
        return frozenset(entry[1] for entry in self.log if entry[0] == "write")

    def view(self) -> View:
        follows = "" if self.follows == NOBODY else str(self.follows)
        offset = len(self.log) if self.in_stream else 0
        return View(self.promised, self.epoch, self.bundles, self.primary, follows, offset)


Servers = tuple[CopyState, ...]


def changed(servers: Servers, at: int, **fields: Any) -> Servers:
    """Return the servers with other fields of one."""
    return (*servers[:at], servers[at]._replace(**fields), *servers[at + 1 :])


def established(count: int, epoch: int) -> Servers:
    """Return copies of which the first is the primary, and the others have all that it has."""
    follower = CopyState((("epoch", epoch),), follows=0, online=True)
    heard = frozenset((at, 1) for at in range(1, count))
    return changed((follower,) * count, 0, primary=True, follows=NOBODY, online=False, heard=heard)


def deposed(epoch: int) -> Servers:
    """Return copies of which the second has replaced the first, which follows it; the third lags behind."""
    history = (("epoch", epoch), ("epoch", 2 * epoch), ("confirm", 1))
    follower = CopyState(history, follows=1, online=True, promised=2 * epoch)
    primary = follower._replace(
        primary=True,
        follows=NOBODY,
        online=False,
        heard=frozenset({(0, len(history)), (2, len(history) - 1)}),
    )
    return follower, primary, follower._replace(log=history[:-1])


def append(servers: Servers, at: int, entry: Entry) -> Servers:
    return changed(servers, at, log=(*servers[at].log, entry))


def confirmed(servers: Servers, at: int, offset: int) -> bool:
    """Return what WAIT 1 asks: whether a follower has acknowledged the first ``offset`` writes of a primary."""
    return any(writes >= offset for _, writes in servers[at].heard)


# ---------------------------------------------------------------- replication


def synchronise(servers: Servers, at: int) -> Servers | None:
    """Have a follower begin to receive: it continues a history that it shares, or copies all. None if it cannot."""
    one = servers[at]
    if not one.up or one.follows == NOBODY or one.online or not _accepts(servers, one.follows):
        return None
    source = servers[one.follows]
    if one.in_stream and source.log[: len(one.log)] == one.log:
        servers = changed(servers, at, online=True)
    else:
        servers = changed(_dropped(servers, at), at, online=True, in_stream=True, log=source.log)
    return _acknowledged(servers, one.follows, at)


def _accepts(servers: Servers, at: int) -> bool:
    return servers[at].up and (servers[at].primary or servers[at].online)


def receive(servers: Servers, at: int) -> Servers | None:
    """Have a follower receive its next write, and acknowledge it; None if there is none."""
    one = servers[at]
    if not one.up or not one.online or not servers[one.follows].up:
        return None
    source = servers[one.follows].log
    if len(source) == len(one.log):
        return None
    return _acknowledged(append(servers, at, source[len(one.log)]), one.follows, at)


def _acknowledged(servers: Servers, at: int, follower: int) -> Servers:
    others = {heard for heard in servers[at].heard if heard[0] != follower}
    return changed(servers, at, heard=frozenset({*others, (follower, len(servers[follower].log))}))


def _dropped(servers: Servers, at: int) -> Servers:
    """Break the streams to the followers of a copy."""
    servers = changed(servers, at, heard=frozenset())
    return tuple(one._replace(online=False) if one.follows == at else one for one in servers)


# ---------------------------------------------------------------- lives


def die(servers: Servers, at: int, *, empty: bool, keeps_role: bool) -> Servers:
    """End a life. ``keeps_role``: it starts again as what it was, as a server does whose start names no role."""
    one = servers[at]
    start = (one.primary, one.follows) if keeps_role else one.start
    down = one._replace(
        up=False,
        primary=False,
        follows=NOBODY,
        online=False,
        in_stream=False,
        holder=NOBODY,
        start=start,
        heard=frozenset(),
        log=() if empty else one.log,
    )
    servers = _dropped(servers, at)
    return (*servers[:at], down, *servers[at + 1 :])


def start(servers: Servers, at: int) -> Servers:
    primary, follows = servers[at].start
    return changed(servers, at, up=True, primary=primary, follows=follows)


# ---------------------------------------------------------------- requests of an elector


def detach(servers: Servers, at: int) -> Servers:
    return changed(servers, at, primary=False, follows=NOBODY, online=False)


def promise(servers: Servers, at: int, ballot: int) -> Servers:
    one = servers[at]
    return changed(servers, at, promised=ballot, start=(one.primary, one.follows))


def promote(servers: Servers, at: int, epoch: int) -> Servers:
    servers = changed(_dropped(servers, at), at, primary=True, follows=NOBODY, online=False, in_stream=True)
    return append(servers, at, ("epoch", epoch))


def follow(servers: Servers, at: int, primary: str) -> Servers:
    return changed(_dropped(servers, at), at, primary=False, follows=int(primary), online=False)


CHANGES: dict[str, Callable[..., Servers]] = {
    "detach": detach,
    "promise": promise,
    "promote": promote,
    "follow": follow,
}
"""The requests through a hold, by name."""
