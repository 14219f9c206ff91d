"""The moves of a store with copies, its invariants, and the breadth-first search of its states."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.explore.copies import clients, servers
from harness.explore.copies.clients import IDLE, Client
from harness.explore.copies.electors import BEGUN, SILENT, Answers, ElectorCall, Rounds
from harness.explore.copies.servers import NOBODY, Servers
from protocols.copies import COPIES
from protocols.copies.elector import ELECTORS
from protocols.core import Config

AT_ALL_COPIES = {"look", "hold"}
"""Calls after which the same call at the next copy is part of the same move."""
AT_ONE_COPY = {"held-look", "detach", "promise"}
"""Calls after which the next call at the same copy is part of the same move.

Nobody but the holder changes the role of a copy, so what others do between them, they can do before or after.
"""


@dataclass(frozen=True, slots=True)
class CopiesCase:
    """A case. The first primary is copy 0.

    ``bundles``: of each client, "w" or "r" each. ``electors``: the copies that each elector reaches, "012" for all; it does one
    round. ``mortal``: the copy that may die, once, and start again, with its data or, if it is ``empty``, without. "" for none.
    ``deposed``: copy 1 has become the primary since, after the first command of the first client at copy 0, which is lost.
    """

    name: str
    bundles: tuple[str, ...]
    electors: tuple[str, ...]
    mortal: str = ""
    empty: bool = False
    deposed: bool = False


CASES = (
    CopiesCase("the primary dies", ("w",), ("012",), "0"),
    CopiesCase("an elector does not reach the primary", ("w",), ("12",)),
    CopiesCase("a client reads at the primary that was replaced", ("r", "w"), ("12",)),
    CopiesCase("a connection outlives two elections", ("w",), ("02",), deposed=True),
    CopiesCase("one of two electors reaches one copy", ("w",), ("2", "12")),
    CopiesCase("the primary comes back empty", ("w",), ("012",), "0", empty=True),
)


class ElectorState(NamedTuple):
    """``answers`` of its round, None before it. ``waits``: the offset that its `confirm` waits for, by copy."""

    answers: Answers | None = None
    waits: tuple[tuple[int, int], ...] = ()


ENDED = ElectorState((("the round has ended",),) * COPIES)


class CopiesState(NamedTuple):
    """``acknowledged``: the writes that clients have seen confirmed. ``died``: whether the mortal copy has died."""

    servers: Servers
    clients: tuple[Client, ...]
    electors: tuple[ElectorState, ...]
    acknowledged: frozenset[str] = frozenset()
    died: bool = False


class CopiesMove(NamedTuple):
    """A step of a path: what happens, the state after it, and the invariant that it violates."""

    what: str
    to: CopiesState
    violation: str = ""


@dataclass(frozen=True, slots=True)
class CopiesResult:
    """``violation`` is empty, or it ends ``path``. ``limit`` names the bound that ended the search, or is empty."""

    case: CopiesCase
    states: int
    seconds: float
    limit: str
    violation: str
    path: tuple[str, ...]


class CopiesSearch:
    """The search of one case. ``config`` has the rules that are switched off."""

    def __init__(self, case: CopiesCase, config: Config, states: int = 2_000_000, seconds: float = 300.0) -> None:
        self._case = case
        self._enabled = config.enabled
        self._most_states, self._most_seconds = states, seconds
        self._rounds = [Rounds(number, config.enabled) for number in range(1, len(case.electors) + 1)]

    def run(self) -> CopiesResult:
        """Visit every state, or return the shortest path to a violation. A search runs once."""
        try:
            return self._run()
        finally:
            for rounds in self._rounds:
                rounds.close()

    def _run(self) -> CopiesResult:
        began = time.monotonic()
        first = self._first()
        parents: dict[CopiesState, tuple[CopiesState, str] | None] = {first: None}
        level, limit = [first], ""
        while level and not limit:
            following = []
            for state in level:
                for move in self._moves(state):
                    if move.violation:
                        path = (*_path(parents, state), move.what)
                        return CopiesResult(
                            self._case, len(parents), time.monotonic() - began, "", move.violation, path
                        )
                    if move.to not in parents:
                        parents[move.to] = state, move.what
                        following.append(move.to)
                if len(parents) > self._most_states:
                    limit = "states"
                elif time.monotonic() - began > self._most_seconds:
                    limit = "seconds"
                if limit:
                    break
            level = following
        return CopiesResult(self._case, len(parents), time.monotonic() - began, limit, "", ())

    def _first(self) -> CopiesState:
        clients_ = tuple(Client("ab"[at], bundles) for at, bundles in enumerate(self._case.bundles))
        electors = (ElectorState(),) * len(self._case.electors)
        if self._case.deposed:
            first = clients_[0]._replace(server=0, epoch=ELECTORS, stage=clients.EXECUTED, offset=2)
            return CopiesState(servers.deposed(ELECTORS), (first, *clients_[1:]), electors)
        return CopiesState(servers.established(COPIES, ELECTORS), clients_, electors)

    # ------------------------------------------------------------ moves

    def _moves(self, state: CopiesState) -> Iterator[CopiesMove]:
        yield from self._of_copies(state)
        for at in range(len(state.clients)):
            yield from self._of_client(state, at)
        for number in range(len(state.electors)):
            for move in self._of_elector(state, number):
                yield move._replace(what=f"elector {number + 1}: {move.what}")

    def _of_copies(self, state: CopiesState) -> Iterator[CopiesMove]:
        for at in range(COPIES):
            for what, change in _REPLICATION:
                after = change(state.servers, at)
                if after is not None:
                    yield CopiesMove(what.format(at, state.servers[at].follows), state._replace(servers=after))
            if not state.servers[at].up:
                yield CopiesMove(f"{at} starts", state._replace(servers=servers.start(state.servers, at)))
            elif str(at) == self._case.mortal and not state.died:
                keeps_role, empty = not self._enabled("follow-nobody"), self._case.empty
                after = servers.die(state.servers, at, empty=empty, keeps_role=keeps_role)
                what = f"{at} dies{', and loses all data' if empty else ''}"
                yield CopiesMove(what, state._replace(servers=after, died=True))

    def _of_client(self, state: CopiesState, at: int) -> Iterator[CopiesMove]:
        client = state.clients[at]
        if client.server == NOBODY:
            answers = [clients.connect(state.servers, client, server) for server in range(COPIES)]
        else:
            answers = [clients.step(state.servers, client, state.acknowledged, self._enabled)]
            if answers == [None] and client.stage != IDLE:
                answers = [clients.ClientStep(state.servers, client.disconnected(), "waits in vain")]
        for answer in filter(None, answers):
            others = (*state.clients[:at], answer.client, *state.clients[at + 1 :])
            to = state._replace(servers=answer.servers, clients=others)
            violation = ""
            if answer.acknowledged:
                violation = _violation(state.servers, client)
                if client.bundles[0] == "w":
                    to = to._replace(acknowledged=state.acknowledged | {answer.acknowledged})
            yield CopiesMove(f"client {client.name}: {answer.what}", to, violation)

    def _of_elector(self, state: CopiesState, number: int) -> Iterator[CopiesMove]:
        elector = state.electors[number]
        if elector.answers is None:
            state = _with(state, number, ElectorState(BEGUN))
        if elector != ENDED:
            yield from self._answered(state, number)

    def _answered(self, state: CopiesState, number: int, former: ElectorCall | None = None) -> Iterator[CopiesMove]:
        """Yield the move of the next call of an elector, with those that follow at once; none after the end of its round."""
        elector = state.electors[number]
        if elector == ENDED:
            return
        assert elector.answers is not None
        call = self._rounds[number].after(elector.answers)[0]
        if former is not None and not _at_once(former, call):
            return
        server = state.servers[call.at]
        free = call.method in ("look", "confirm", "hold")
        if not server.up or str(call.at) not in self._case.electors[number] or not (free or server.holder == number):
            yield from self._and_so_on(state, number, call, SILENT)
        elif call.method == "confirm":
            yield from self._confirm(state, number, call)
        else:
            after, answer = _carried_out(state.servers, number, call)
            yield from self._and_so_on(state._replace(servers=after), number, call, answer)

    def _and_so_on(self, state: CopiesState, number: int, call: ElectorCall, answer: Any) -> Iterator[CopiesMove]:
        """Yield the move of a call with its answer, or the longer moves that begin with it."""
        to = self._next(state, number, call, answer)
        what = f"{call.method} {' '.join((*map(str, call.args), f'at {call.at}'))}{': no answer' if answer == SILENT else ''}"
        longer = False
        for move in self._answered(to, number, call):
            longer = True
            yield move._replace(what=f"{what}, {move.what}")
        if not longer:
            yield CopiesMove(what, to)

    def _confirm(self, state: CopiesState, number: int, call: ElectorCall) -> Iterator[CopiesMove]:
        """Yield the write of a `confirm`, then the answer of its WAIT."""
        server, (epoch,), at = state.servers[call.at], call.args, call.at
        elector = state.electors[number]
        waits = dict(elector.waits)
        if not server.primary:
            yield CopiesMove(f"confirm at {at}: it is no primary", self._next(state, number, call, SILENT))
        elif at not in waits:
            after = servers.append(state.servers, at, ("confirm", at))
            waiting = elector._replace(waits=(*elector.waits, (at, len(after[at].log))))
            yield CopiesMove(f"confirm writes at {at}", _with(state._replace(servers=after), number, waiting))
        elif servers.confirmed(state.servers, at, waits[at]):
            yes = server.epoch == epoch
            lost = state.acknowledged - server.written if yes else ()
            yield CopiesMove(
                f"confirm at {at}: it is {'' if yes else 'not '}the primary of epoch {epoch}",
                self._next(state, number, call, yes),
                f"lost: the primary of epoch {epoch} has no {', '.join(sorted(lost))}" if lost else "",
            )
        else:
            yield CopiesMove(f"confirm at {at}: nobody confirms", self._next(state, number, call, False))

    def _next(self, state: CopiesState, number: int, call: ElectorCall, answer: Any) -> CopiesState:
        """Return the state in which an elector has one more answer; between rounds, if that was the last one."""
        elector = state.electors[number]
        assert elector.answers is not None
        at = call.at
        answers = (*elector.answers[:at], (*elector.answers[at], answer), *elector.answers[at + 1 :])
        waits = tuple(wait for wait in elector.waits if wait[0] != at)
        if not self._rounds[number].after(answers):
            return _with(state, number, ENDED)
        return _with(state, number, ElectorState(answers, waits))


_REPLICATION: tuple[tuple[str, Callable[[Servers, int], Servers | None]], ...] = (
    ("{0} begins to receive from {1}", servers.synchronise),
    ("{0} receives a write of {1}", servers.receive),
)


def _violation(before: Servers, client: Client) -> str:
    """Return what a confirmed bundle violates: an acknowledged write that its primary or its read lacks."""
    at = client.server
    if client.bundles[0] == "r":
        missing = client.acknowledged_before - client.read
        return f"stale: {client.bundle} has read without {', '.join(sorted(missing))}" if missing else ""
    missing = (client.acknowledged_before | {client.bundle}) - before[at].written
    return f"lost: {client.bundle} counts, and copy {at} has no {', '.join(sorted(missing))}" if missing else ""


def _at_once(former: ElectorCall, call: ElectorCall) -> bool:
    if former.method in AT_ALL_COPIES:
        return former.method == call.method
    return former.method in AT_ONE_COPY and former.at == call.at


def _carried_out(before: Servers, number: int, call: ElectorCall) -> tuple[Servers, Any]:
    """Return the servers after a call other than `confirm`, and its answer."""
    if call.method in ("look", "held-look"):
        return before, before[call.at].view()
    if call.method == "hold":
        return servers.changed(before, call.at, holder=number), None
    return servers.CHANGES[call.method](before, call.at, *call.args), None


def _with(state: CopiesState, number: int, elector: ElectorState) -> CopiesState:
    return state._replace(electors=(*state.electors[:number], elector, *state.electors[number + 1 :]))


def _path(parents: dict[CopiesState, tuple[CopiesState, str] | None], state: CopiesState) -> list[str]:
    steps = []
    while (parent := parents[state]) is not None:
        state, what = parent
        steps.append(what)
    return steps[::-1]
