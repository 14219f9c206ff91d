"""Two-phase commit with strict two-phase locking and presumed abort.

After Mohan, Lindsay and Obermarck, "Transaction management in the R* distributed database management system", TODS 11(4),
1986 ("R*" below): section 2.1 for a run without failures, 2.2 for recovery, 3 for presumed abort. The lock policies of
``locks.py`` are those of Rosenkrantz, Stearns and Lewis, "System level concurrency control for distributed database systems",
TODS 3(2), 1978.

1. A participant votes yes only after its PREPARED record, with its locks, is durable. From then on it is in doubt: it may
   neither commit nor abort alone (R*, 2.1).
2. The coordinator commits only after a yes of every branch. COMMIT, with the list of branches and the paid order in one
   atomic command, is durable before any message about it; that command is the commit point (R*, 2.1). It is refused if the
   transaction is no longer open.
3. A participant acknowledges a commit only after COMMITTED, with the new values and without the locks, is durable (R*, 2.1).
4. The coordinator forgets a commit only after the acknowledgement of every branch. A transaction without a record counts as
   aborted, so an abort needs no forced record, no acknowledgement and no end (R*, 3).
5. A participant in doubt inquires at any instance of the coordinator's service. The answer to an inquiry about an undecided
   transaction first makes its commit impossible, and then is abort.
6. Messages may be lost, doubled, delayed and reordered: every handler may run twice, and a sender repeats its message until
   the answer arrives.

            OPENING --open--> VOTING --all yes--> COMMITTING --persisted--> COMMITTED --all acks--> (forgotten)
               |                |                      |
               +---- refused ---+---- a no, deadline --+---- fenced ----> (forgotten: aborted)

A difference from R*: there a coordinator has no record of an undecided transaction, and only its own site answers inquiries.
Here several instances share the log, so the record OPEN is the permission to commit, which any of them can take away (rule 5).
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
from protocols.two_phase.messages import Abort, Ack, Commit, Inquiry, Prepare, Vote, Wound

# ---------------------------------------------------------------- coordinator


class Phase(StrEnum):
    OPENING = "opening"
    VOTING = "voting"
    COMMITTING = "committing"
    COMMITTED = "committed"


class Coordination(Struct, frozen=True, gc=False):
    """The volatile state of one transaction at its owner. ``waiting`` names the branches whose vote or ack is missing."""

    txn: str
    request: Request
    phase: Phase
    branches: tuple[Branch, ...] = ()
    waiting: frozenset[str] = frozenset()


def coordinator(config: Config, state: Coordination | None, event: Event) -> tuple[Coordination | None, Effects]:
    """Execute one step. An event that the phase does not expect is late or doubled, and changes nothing."""
    if state is None:
        return _without_state(config, event)
    return _STEPS[state.phase](config, state, event)


def _without_state(config: Config, event: Event) -> tuple[Coordination | None, Effects]:
    match event:
        case Start(txn, request):
            # Not forced: a crash before the record leaves no transaction, as presumed abort presumes (R*, 3).
            command = Command("open", (txn, request.subject, request.owner, request.key, request.adopts))
            return Coordination(txn, request, Phase.OPENING), (SetTimer("deadline", request.limit_ms), Do(command))
        case Recovered((txn, "open", _)):
            # Its owner is dead, or it is older than any deadline, or a copy of its request waits here: no patience. Silence would
            # not do, although the transaction counts as aborted: prepared branches would hold their locks until they inquire.
            return None, (Persist(Command("resolve", (txn, 0, "", "", False))),)
        case Recovered((txn, "committed", branches)):
            return _resume_commit(config, txn, tuple(Branch(*branch) for branch in branches))
    return None, _answer_inquiry(config, event)


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
    return state, _answer_inquiry(config, event)


def _while_voting(config: Config, state: Coordination, event: Event) -> tuple[Coordination | None, Effects]:
    match event:
        case Received(Vote(_, branch, "")):
            return _count_yes(config, state, branch)
        case Received(Vote(_, branch, why)):
            # A branch that votes no has aborted before its vote: the second phase is for the others (R*, 2.1).
            return _abort(state, why, exclude=branch)
        case Received(Wound()):
            return _abort(state, "conflict:wounded")
        case TimerFired("deadline"):
            return _abort(state, "timeout")
        case TimerFired("resend"):
            return state, (*_prepare_messages(state), SetTimer("resend", config.timing.vote_retry_ms))
    return state, _answer_inquiry(config, event)


def _while_committing(config: Config, state: Coordination, event: Event) -> tuple[Coordination | None, Effects]:
    match event:
        case Done(Command("commit"), ("committed",)):
            return _announce_commit(config, state)
        case Done(Command("commit"), ("fenced",)):
            # An inquiry or the sweep of another instance came between the votes and COMMIT, and branches may have aborted
            # already. A commit here would make them disagree (rule 5).
            return _abort(state, "conflict:fenced")
    return state, _answer_inquiry(config, event)


def _while_committed(config: Config, state: Coordination, event: Event) -> tuple[Coordination | None, Effects]:
    match event:
        case Received(Ack(txn, branch)):
            missing = state.waiting - {branch}
            if missing:
                return replace(state, waiting=missing), ()
            # Not forced: after a crash the commit is announced once more, and acknowledged once more (R*, 2.2).
            return None, (Do(Command("end", (txn,))),)
        case TimerFired("resend"):
            return state, (*_commit_messages(state), SetTimer("resend", config.timing.retry_ms))
    return state, _answer_inquiry(config, event)


_STEPS = {
    Phase.OPENING: _while_opening,
    Phase.VOTING: _while_voting,
    Phase.COMMITTING: _while_committing,
    Phase.COMMITTED: _while_committed,
}


def _begin_voting(config: Config, state: Coordination, branches: tuple[Branch, ...]) -> tuple[Coordination, Effects]:
    state = replace(state, phase=Phase.VOTING, branches=branches, waiting=frozenset(b.name for b in branches))
    if not branches:
        return _commit(config, state)
    return state, (*_prepare_messages(state), SetTimer("resend", config.timing.vote_retry_ms))


def _count_yes(config: Config, state: Coordination, branch: str) -> tuple[Coordination | None, Effects]:
    # A set of names and no counter: a doubled vote must not stand for the missing one of another branch.
    missing = state.waiting - {branch}
    state = replace(state, waiting=missing)
    if missing and config.enabled("unanimous"):
        return state, ()
    return _commit(config, state)


def _commit(config: Config, state: Coordination) -> tuple[Coordination, Effects]:
    # From here on the store decides. A deadline that fired now would reject a checkout whose COMMIT may be durable.
    state = replace(state, phase=Phase.COMMITTING)
    force = Persist(Command("commit", (state.txn,)))
    if config.enabled("force-commit"):
        return state, (CancelTimer("deadline"), CancelTimer("resend"), force)
    _, announcement = _announce_commit(config, state)
    return state, (CancelTimer("deadline"), *announcement, force)


def _announce_commit(config: Config, state: Coordination) -> tuple[Coordination | None, Effects]:
    """Send the decision to the branches and to the client; COMMIT is durable."""
    reply = Reply(Outcome(Decision.COMMITTED))
    state = replace(state, phase=Phase.COMMITTED, waiting=frozenset(b.name for b in state.branches))
    if not state.branches or not config.enabled("end-after-acks"):
        return None, (*_commit_messages(state), reply, Do(Command("end", (state.txn,))))
    return state, (*_commit_messages(state), reply, SetTimer("resend", config.timing.retry_ms))


def _resume_commit(config: Config, txn: str, branches: tuple[Branch, ...]) -> tuple[Coordination | None, Effects]:
    """Announce a commit again after a crash: any branch may have missed it, and its client is gone (R*, 2.2)."""
    if not branches:
        return None, (Do(Command("end", (txn,))),)
    request = Request(subject="", home="", owner="", priority_us=0)
    state = Coordination(txn, request, Phase.COMMITTED, branches, frozenset(b.name for b in branches))
    return state, (*_commit_messages(state), SetTimer("resend", config.timing.retry_ms))


def _abort(state: Coordination, why: str, exclude: str = "") -> tuple[None, Effects]:
    """Abort: release the order, inform the branches except ``exclude``, and answer the client.

    Only this owner could commit, and it has forgotten the transaction. So no record is forced and no acknowledgement expected
    (R*, 3); if ``close`` or a message is lost, the sweep or an inquiry comes to the same decision.
    """
    aborts = (Send(branch.service, Abort(state.txn)) for branch in state.branches if branch.name != exclude)
    return None, (Do(Command("close", (state.txn,))), *aborts, Reply(Outcome.rejected(why)))


def _prepare_messages(state: Coordination) -> Iterable[Send]:
    txn, request = state.txn, state.request
    for branch in state.branches:
        if branch.name in state.waiting:
            message = Prepare(txn, request.home, branch.name, request.priority_us, request.horizon, branch.changes)
            yield Send(branch.service, message)


def _commit_messages(state: Coordination) -> Iterable[Send]:
    return (Send(b.service, Commit(state.txn, b.name)) for b in state.branches if b.name in state.waiting)


def _answer_inquiry(config: Config, event: Event) -> Effects:
    """Return the effects of an inquiry, the same at every instance and in every phase: the store has the answer."""
    match event:
        case Received(Inquiry(txn, branch, short), sender):
            # Forced, because the answer may be an abort: the permission to commit is gone before a branch relies on it.
            return (Persist(Command("resolve", (txn, config.timing.patience_ms, sender, branch, short))),)
        case Done(Command("resolve", (txn, _, sender, branch, _)), (decision, branches)):
            return tuple(_decision_messages(txn, sender, branch, decision, branches))
    return ()


def _decision_messages(
    txn: str, sender: str, branch: str, decision: str, branches: Iterable[tuple[str, int, str]]
) -> Iterable[Send]:
    """Yield the decision for the inquirer and for every branch in the record: these are probably in doubt as well."""
    if decision in ("pending", "unknown"):
        # Pending: the owner is at work on it, and an abort would lose that work. Unknown: COMMIT may be among the records that a
        # store has lost. The participant inquires again.
        return
    if sender:
        yield Send(sender, Commit(txn, branch) if decision == "commit" else Abort(txn))
    for service, shard, _ in branches:
        if f"{service}/{shard}" != branch:
            yield Send(service, Commit(txn, f"{service}/{shard}") if decision == "commit" else Abort(txn))


# ---------------------------------------------------------------- participant


def participant(config: Config, state: None, event: Event) -> tuple[None, Effects]:
    """Execute one step. A participant has no volatile state: its records are in its store, so any instance can serve."""
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
            # The reply "lost" has no case: a store without the record of a yes vote has lost an acknowledged write, and an
            # acknowledgement would let the coordinator forget the only record of the commit.
            return None, (Send(sender, Ack(txn, branch)), *_votes(votes, wounds))

        case Received(Abort(txn)):
            # Neither forced nor acknowledged (R*, 3): a branch that forgets the abort inquires, and receives it again.
            return None, (Do(Command("undo", (txn,))),)
        case Done(Command("undo"), (votes, wounds)):
            return None, _votes(votes, wounds)

        case Recovered((txn, home, branch, short)):
            # To the service and not to the instance that sent the prepare, which may never return.
            return None, (Send(home, Inquiry(txn, branch, short)),)
    return None, ()


def _votes(votes: Iterable[tuple[str, str, str, str]], wounds: Iterable[tuple[str, str]]) -> Effects:
    """Send the votes, (coordinator, txn, branch, why) each, and the wounds, (coordinator, txn) each.

    They may be of other transactions: a lock that a command freed decides for those that waited for it.
    """
    sent = (Send(coordinator, Vote(txn, branch, why)) for coordinator, txn, branch, why in votes)
    return (*sent, *(Send(coordinator, Wound(txn)) for coordinator, txn in wounds))
