"""Two-phase commit with strict two-phase locking, presumed abort.

The rules, after Mohan, Lindsay and Obermarck, "Transaction management in the R* distributed database management
system", TODS 11(4), 1986, sections 2 and 3, and Rosenkrantz, Stearns and Lewis, "System level concurrency control for
distributed database systems", TODS 3(2), 1978, for the lock policies:

1. A participant votes yes only after its PREPARED record, with its locks, is durable. From then on it is in doubt: it
   may neither commit nor abort by itself.
2. The coordinator commits only if every branch voted yes. COMMIT, with the list of branches and the paid order in one
   atomic command, is durable before anybody hears of it. The command is refused if the transaction is no longer open.
3. A participant acknowledges a commit only after COMMITTED, with the new values and without the locks, is durable.
4. The coordinator forgets a commit only after every branch acknowledged it. What it does not know was aborted:
   an abort needs no forced record, no acknowledgement and no end.
5. A participant in doubt asks any instance of the coordinator's service. The answer to an inquiry about a transaction that is
   not committed first makes it impossible to commit, then says abort.
6. Messages may be lost, doubled, delayed and reordered: every handler may run twice, and whoever needs an answer repeats.

            OPENING --open--> VOTING --all yes--> COMMITTING --persisted--> COMMITTED --all acks--> (forgotten)
               |                |                      |
               +---- refused ---+---- a no, deadline --+---- fenced ----> (forgotten: aborted)
"""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from protocols.core import (
    Branch,
    CancelTimer,
    Command,
    Config,
    Do,
    Done,
    Effect,
    Effects,
    Event,
    Persist,
    Received,
    Recovered,
    Reply,
    Request,
    Send,
    SetTimer,
    Start,
    TimerFired,
)
from protocols.outcomes import Decision, Outcome

# ---------------------------------------------------------------- messages


class Prepare(Struct, frozen=True, gc=False):
    """Coordinator to participant. ``home`` is the service that answers inquiries; ``priority_us``, ``horizon``: see Request."""

    txn: str
    home: str
    branch: str
    priority_us: int
    horizon: tuple[int, int]
    changes: tuple[tuple[str, int], ...]


class Vote(Struct, frozen=True, gc=False):
    """Participant to coordinator. ``why`` is empty for yes, else ``locked:KEY:HOLDER``, ``short:KEY``, ``missing:KEY``, ..."""

    txn: str
    branch: str
    why: str


class Commit(Struct, frozen=True, gc=False):
    txn: str
    branch: str


class Abort(Struct, frozen=True, gc=False):
    txn: str


class Ack(Struct, frozen=True, gc=False):
    txn: str
    branch: str


class Inquiry(Struct, frozen=True, gc=False):
    """Participant in doubt to any instance of the coordinator's service."""

    txn: str
    branch: str


class Wound(Struct, frozen=True, gc=False):
    """Participant to the coordinator of a lock's holder: an older transaction wants it (wound-wait only)."""

    txn: str


MESSAGES = (Prepare, Vote, Commit, Abort, Ack, Inquiry, Wound)

# ---------------------------------------------------------------- coordinator


class Phase(StrEnum):
    OPENING = "opening"
    VOTING = "voting"
    COMMITTING = "committing"
    COMMITTED = "committed"


class Coordination(Struct, frozen=True, gc=False):
    """What the coordinator knows of one transaction. ``waiting``: names of branches whose vote or ack is missing."""

    txn: str
    request: Request
    phase: Phase
    branches: tuple[Branch, ...] = ()
    waiting: frozenset[str] = frozenset()


def coordinator(config: Config, state: Coordination | None, event: Event) -> tuple[Coordination | None, Effects]:
    """One step of the coordinator. An event that its phase does not expect is late or doubled, and changes nothing."""
    if state is None:
        return _without_state(config, event)
    return _IN_PHASE[state.phase](config, state, event)


def _without_state(config: Config, event: Event) -> tuple[Coordination | None, Effects]:
    match event:
        case Start(txn, request):
            ask = Command("open", (txn, request.subject, request.owner))
            return Coordination(txn, request, Phase.OPENING), (SetTimer("deadline", request.limit_ms), Do(ask))
        case Recovered((txn, "open", _)):
            return None, (Persist(Command("resolve", (txn, 0, "", ""))),)
        case Recovered((txn, "committed", branches)):
            return _resume_commit(config, txn, tuple(Branch(*branch) for branch in branches))
    return None, _inquiry(config, event)


def _while_opening(config: Config, state: Coordination, event: Event) -> tuple[Coordination | None, Effects]:
    match event:
        case Done(Command("open"), ("open", branches)):
            return _begin_voting(config, state, tuple(Branch(*branch) for branch in branches))
        case Done(Command("open"), ("paid",)):
            return None, (Reply(Outcome(Decision.COMMITTED)),)
        case Done(Command("open"), ("busy", holder)):
            return None, (Reply(Outcome.rejected(f"busy:{holder}")),)
        case Done(Command("open"), ("no", why)):
            return None, (Reply(Outcome.rejected(why)),)
        case TimerFired("deadline"):
            return _abort(state, "timeout")
    return state, _inquiry(config, event)


def _while_voting(config: Config, state: Coordination, event: Event) -> tuple[Coordination | None, Effects]:
    match event:
        case Received(Vote(_, branch, "")):
            return _count_yes(config, state, branch)
        case Received(Vote(_, branch, why)):
            return _abort(state, why, spare=branch)
        case Received(Wound()):
            return _abort(state, "conflict:wounded")
        case TimerFired("deadline"):
            return _abort(state, "timeout")
        case TimerFired("resend"):
            return state, (*_prepares(state), SetTimer("resend", config.timing.vote_retry_ms))
    return state, _inquiry(config, event)


def _while_committing(config: Config, state: Coordination, event: Event) -> tuple[Coordination | None, Effects]:
    match event:
        case Done(Command("commit"), ("committed",)):
            return _tell_commit(config, state)
        case Done(Command("commit"), ("fenced",)):
            return _abort(state, "conflict:fenced")
    return state, _inquiry(config, event)


def _while_committed(config: Config, state: Coordination, event: Event) -> tuple[Coordination | None, Effects]:
    match event:
        case Received(Ack(txn, branch)):
            missing = state.waiting - {branch}
            return (replace(state, waiting=missing), ()) if missing else (None, (Do(Command("end", (txn,))),))
        case TimerFired("resend"):
            return state, (*_commits(state), SetTimer("resend", config.timing.retry_ms))
    return state, _inquiry(config, event)


_IN_PHASE = {
    Phase.OPENING: _while_opening,
    Phase.VOTING: _while_voting,
    Phase.COMMITTING: _while_committing,
    Phase.COMMITTED: _while_committed,
}


def _inquiry(config: Config, event: Event) -> Effects:
    """What any instance answers at any time: the store knows, whatever this one has in memory."""
    match event:
        case Received(Inquiry(txn, branch), sender):
            return (Persist(Command("resolve", (txn, config.timing.patience_ms, sender, branch))),)
        case Done(Command("resolve", (txn, _, sender, branch)), (verdict, branches)):
            return tuple(_answers(txn, sender, branch, verdict, branches))
    return ()


def _begin_voting(config: Config, state: Coordination, branches: tuple[Branch, ...]) -> tuple[Coordination, Effects]:
    state = replace(state, phase=Phase.VOTING, branches=branches, waiting=frozenset(b.name for b in branches))
    if not branches:
        return _commit(config, state)
    return state, (*_prepares(state), SetTimer("resend", config.timing.vote_retry_ms))


def _count_yes(config: Config, state: Coordination, branch: str) -> tuple[Coordination | None, Effects]:
    missing = state.waiting - {branch}
    state = replace(state, waiting=missing)
    if missing and config.enabled("unanimous"):
        return state, ()
    return _commit(config, state)


def _commit(config: Config, state: Coordination) -> tuple[Coordination, Effects]:
    state = replace(state, phase=Phase.COMMITTING)
    force = Persist(Command("commit", (state.txn,)))
    if config.enabled("force-commit"):
        return state, (CancelTimer("deadline"), CancelTimer("resend"), force)
    _, told = _tell_commit(config, state)
    return state, (CancelTimer("deadline"), *told, force)


def _tell_commit(config: Config, state: Coordination) -> tuple[Coordination | None, Effects]:
    told: tuple[Effect, ...] = (Reply(Outcome(Decision.COMMITTED)),)
    state = replace(state, phase=Phase.COMMITTED, waiting=frozenset(b.name for b in state.branches))
    if not state.branches:
        return None, (*told, Do(Command("end", (state.txn,))))
    if not config.enabled("end-after-acks"):
        return None, (*_commits(state), *told, Do(Command("end", (state.txn,))))
    return state, (*_commits(state), *told, SetTimer("resend", config.timing.retry_ms))


def _resume_commit(config: Config, txn: str, branches: tuple[Branch, ...]) -> tuple[Coordination | None, Effects]:
    if not branches:
        return None, (Do(Command("end", (txn,))),)
    request = Request(subject="", home="", owner="", priority_us=0)
    state = Coordination(txn, request, Phase.COMMITTED, branches, frozenset(b.name for b in branches))
    return state, (*_commits(state), SetTimer("resend", config.timing.retry_ms))


def _abort(state: Coordination, why: str, spare: str = "") -> tuple[None, Effects]:
    """Only the owner can commit, so its decision to abort needs no record: tell the others, free the order."""
    aborts = (Send(branch.service, Abort(state.txn)) for branch in state.branches if branch.name != spare)
    return None, (Do(Command("close", (state.txn,))), *aborts, Reply(Outcome.rejected(why)))


def _prepares(state: Coordination) -> Iterable[Send]:
    request = state.request
    for branch in state.branches:
        if branch.name in state.waiting:
            message = Prepare(
                state.txn, request.home, branch.name, request.priority_us, request.horizon, branch.changes
            )
            yield Send(branch.service, message)


def _commits(state: Coordination) -> Iterable[Send]:
    return (Send(b.service, Commit(state.txn, b.name)) for b in state.branches if b.name in state.waiting)


def _answers(
    txn: str, sender: str, branch: str, verdict: str, branches: Iterable[tuple[str, int, str]]
) -> Iterable[Send]:
    """To the one who asked, and to every branch that the log knows of: they are probably in doubt as well."""
    if verdict == "pending":
        return
    if sender:
        yield Send(sender, Commit(txn, branch) if verdict == "commit" else Abort(txn))
    for service, shard, _ in branches:
        if f"{service}/{shard}" != branch:
            yield Send(service, Commit(txn, f"{service}/{shard}") if verdict == "commit" else Abort(txn))


# ---------------------------------------------------------------- participant


def participant(config: Config, state: None, event: Event) -> tuple[None, Effects]:
    """One step of a participant. It keeps nothing volatile: all it knows is in its store, so any instance can serve."""
    match event:
        case Received(Prepare(txn, home, branch, priority_us, horizon, changes), sender):
            force = Persist(Command("prepare", (txn, home, branch, priority_us, horizon, changes, sender)))
            if not config.enabled("force-prepare"):
                return None, (Send(sender, Vote(txn, branch, "")), force)
            return None, (force,)
        case Done(Command("prepare"), (votes, wounds)):
            return None, _votes(votes, wounds)

        case Received(Commit(txn, branch), sender):
            force = Persist(Command("apply", (txn, branch, sender)))
            if not config.enabled("force-committed"):
                return None, (Send(sender, Ack(txn, branch)), force)
            return None, (force,)
        case Done(Command("apply", (txn, branch, sender)), ("applied", votes, wounds)):
            return None, (Send(sender, Ack(txn, branch)), *_votes(votes, wounds))

        case Received(Abort(txn)):
            return None, (Do(Command("undo", (txn,))),)
        case Done(Command("undo"), (votes, wounds)):
            return None, _votes(votes, wounds)

        case Recovered((txn, home, branch)):
            return None, (Send(home, Inquiry(txn, branch)),)
    return None, ()


def _votes(votes: Iterable[tuple[str, str, str, str]], wounds: Iterable[tuple[str, str]]) -> Effects:
    """``votes``: (coordinator, txn, branch, why) each; a lock that was freed may have decided for those who waited."""
    voted = (Send(coordinator, Vote(txn, branch, why)) for coordinator, txn, branch, why in votes)
    return (*voted, *(Send(coordinator, Wound(txn)) for coordinator, txn in wounds))
