"""The vocabulary of a protocol: events, effects, commands, roles. What it promises is in `protocols/claims.py`.

A protocol is a value. Each of its roles is a pure function

    step(config, state, event) -> (state, effects)

over frozen structs: no clock, no randomness, no I/O, no ``await``. The shell around it (the driver in
``protocols.service``, the explorer and the simulator in ``harness``) tells it events and carries its effects out.

The order of the effects is the contract. A crash may fall between any two of them:

- ``Persist(command)``  a forced write: one atomic command on this node's store, durable before any effect after it.
- ``Do(command)``       one atomic command on this node's store, asked for in order but not waited for.
- ``Send(to, message)`` may be lost, doubled, delayed and reordered.
- ``SetTimer``, ``CancelTimer``  volatile: a crash forgets them. One named ``deadline`` is when somebody gives up.
- ``Reply(outcome)``    what the client is told.

The answer of a ``Persist`` or a ``Do`` comes back as ``Done(command, result)``. A role sees the events of one
transaction one after another; a state of ``None`` means that this node keeps nothing volatile about it, no timer either.
Recovery is an event, never a constructor: after a crash every state is ``None`` and only what the store kept comes
back, as ``Recovered(record)``.

After "sans-I/O" (h11) and the ready-struct of etcd's raft; the split in events and effects follows
Lampson, "How to build a highly available system using consensus" (1996), section 3.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from protocols.claims import Claims, Option, Safeguard
from protocols.errors import UsageError

# ---------------------------------------------------------------- events: what a node is told


class Request(Struct, frozen=True, gc=False):
    """What the client wants made atomic: ``subject`` (an order), and what only the outside knows.

    ``home`` is the service that coordinates it, ``owner`` the instance. ``age`` orders transactions for the lock
    policies, in microseconds since the epoch (smaller is older); a retry keeps its first. ``horizon``: a (life,
    sequence) below which every transaction of the same instance has ended, those of former lives as well
    (``protocols.store.lives``). ``limit_ms``: undecided after that, it is given up.
    """

    subject: str
    home: str
    owner: str
    age: int
    horizon: tuple[int, int] = (0, 0)
    limit_ms: int = 9_500


class Start(Struct, frozen=True, gc=False):
    txn: str
    request: Request


class Received(Struct, frozen=True, gc=False):
    """``sender`` is the address of the instance that sent it: where an answer goes."""

    message: Any
    sender: str


class Done(Struct, frozen=True, gc=False):
    command: "Command"
    result: tuple[Any, ...]


class TimerFired(Struct, frozen=True, gc=False):
    name: str


class Recovered(Struct, frozen=True, gc=False):
    """One unfinished transaction that the store still knows, as the role's recovery command returned it."""

    record: tuple[Any, ...]


Event = Start | Received | Done | TimerFired | Recovered

# ---------------------------------------------------------------- effects: what a node asks for


class Command(Struct, frozen=True, gc=False):
    """One atomic step of a store, by name: a pure function in the twin, a Lua function in Valkey.

    ``args`` and results are tuples of str, int, bool and tuples of these, so that both sides compare equal. The store's
    client adds the time: a command sees ``now`` in milliseconds without having read a clock.
    """

    name: str
    args: tuple[Any, ...] = ()


class Persist(Struct, frozen=True, gc=False):
    command: Command


class Do(Struct, frozen=True, gc=False):
    command: Command


class Send(Struct, frozen=True, gc=False):
    """``to`` is the name of a service (any of its instances) or the address of one instance."""

    to: str
    message: Any


class SetTimer(Struct, frozen=True, gc=False):
    """``spread_ms``: the shell adds up to so much by chance, so that those who wait do not all wake at once."""

    name: str
    after_ms: int
    spread_ms: int = 0


class CancelTimer(Struct, frozen=True, gc=False):
    name: str


class Reply(Struct, frozen=True, gc=False):
    outcome: "Outcome"


Effect = Persist | Do | Send | SetTimer | CancelTimer | Reply
Effects = tuple[Effect, ...]

# ---------------------------------------------------------------- outcomes


class Decision(StrEnum):
    """The decision on a request, as the client receives it."""

    COMMITTED = "committed"
    REFUSED = "refused"  # definitely did not happen, and repeating it at once would change nothing
    CONFLICT = "conflict"  # definitely did not happen, contention is the only reason: repeat it
    ACCEPTED = "accepted"  # begun and durable, and it will end one way or the other: ask later which


class Reason(Struct, frozen=True, gc=False):
    """The reason why a transaction did not happen: a code, the key that it concerns, and the transaction that has that.

    As text, in records, messages and traces:

    - ``short:KEY``, ``over:KEY``, ``missing:KEY``, ``negative:KEY``, ``timeout``   a repetition would change nothing
    - ``locked:KEY:HOLDER``, ``busy:HOLDER``, ``conflict:NAME``                     contention, the reason to repeat it

    A key may contain colons, a holder does not.
    """

    code: str = ""
    key: str = ""
    holder: str = ""

    @classmethod
    def parse(cls, text: str) -> "Reason":
        """Return the reason that was written as ``text``."""
        code, _, detail = text.partition(":")
        if code == "busy":
            return cls(code, holder=detail)
        if code == "locked":
            key, _, holder = detail.rpartition(":")
            return cls(code, key, holder)
        return cls(code, detail)

    def __str__(self) -> str:
        return ":".join(filter(None, (self.code, self.key, self.holder)))

    @property
    def is_contention(self) -> bool:
        """Whether another transaction is the only reason."""
        return self.code in ("locked", "busy", "conflict")


class Outcome(Struct, frozen=True, gc=False):
    """The answer to the client. ``reason`` is empty for a commit and for what is only accepted."""

    decision: Decision
    reason: Reason = Reason()

    @classmethod
    def rejected(cls, why: str) -> "Outcome":
        """Return the outcome of a transaction that did not happen: a conflict where contention is the only reason."""
        reason = Reason.parse(why)
        return cls(Decision.CONFLICT if reason.is_contention else Decision.REFUSED, reason)


class Branch(Struct, frozen=True, gc=False):
    """One shard's share of a transaction: what changes there. ``changes`` are ``(key, delta)``, keys unique."""

    service: str
    shard: int
    changes: tuple[tuple[str, int], ...]

    @property
    def name(self) -> str:
        return f"{self.service}/{self.shard}"


# ---------------------------------------------------------------- how a protocol is run


class Timing(Struct, frozen=True):
    """Milliseconds. Timing is about progress only: no choice of these can make a protocol unsafe.

    ``patience``: how old an undecided transaction must be before somebody other than its owner may end it; longer than
    the longest limit of a request. ``doubt``: how long a participant waits before it asks. ``sweep``: how often a node looks
    for what it should take up. ``ask``, ``tell``: how often a question (a vote is missing: a lock may be the
    reason) and a decision (an acknowledgement is missing) are repeated.
    """

    ask: int = 1_000
    tell: int = 250
    patience: int = 12_000
    doubt: int = 500
    sweep: int = 250

    @property
    def takeover_s(self) -> float:
        """Seconds by which others have ended what a node that stays away had begun: doubt, a sweep, patience, asked again."""
        return (self.doubt + self.sweep + self.patience + self.ask) / 1000


class Config(Struct, frozen=True):
    """How a protocol is run: its options by name, the safeguards that are switched off, its timing."""

    options: Mapping[str, str] = field(default_factory=dict)
    ablated: frozenset[str] = frozenset()
    timing: Timing = Timing()

    def keeps(self, safeguard: str) -> bool:
        return safeguard not in self.ablated


Step = Callable[[Any, Any, Event], tuple[Any, Effects]]


class Role(Struct, frozen=True):
    """A step function, and the command by which the shell finds what a crash left unfinished.

    ``recovery`` names a command ``(owner, older_than_ms)`` that lists ``((txn, record), ...)``: the unfinished
    transactions of ``owner`` and those of anybody that are older. ``orphan`` picks that age from the timing.
    """

    name: str
    step: Step
    recovery: str
    orphan: Callable[[Timing], int]


class StateKind(StrEnum):
    """A property of a listed transaction that matters outside the protocol. A probe counts each under its value."""

    IN_DOUBT = "in_doubt"  # the node may not decide alone, and waits for a decision
    LOCKS = "locks"  # it holds locks, or waits for one
    FENCES = "fences"  # it has ended, and its fence should have been collected
    OPEN = "open"  # it has not ended, and nobody else waits for it


class Layout(StrEnum):
    """Where the services keep their data, as a protocol wants it."""

    APART = "apart"  # a store for each service, which no other can reach
    TOGETHER = "together"  # all on the coordinator's


class Protocol(Struct, frozen=True):
    """A protocol as the registry hands it out.

    ``roles`` maps a service to the role it plays, ``commands`` the names to the pure twins of the Lua functions in
    ``library``; both take ``(tables, config, now, *args)``. ``locks`` lists ``(key, txn)`` for every exclusive lock that is held
    according to the records in a twin's tables. ``layout`` says which stores a deployment has: see ``store_of``.
    ``lazy`` names commands that take any number of transactions and whose answer nobody needs: what several ask for within a
    moment is done as one, and not at all if the process dies before. ``unheard`` names others whose answer says nothing to the
    machine, so that it is not told. ``states`` maps each state that ``list_txns`` lists to its kinds: the harness knows no
    protocol's own names. Raises ``UsageError`` for a state without a kind.
    """

    name: str
    summary: str
    roles: Mapping[str, Role]
    messages: tuple[type, ...]
    commands: Mapping[str, Callable[..., tuple[Any, ...]]]
    library: str
    claims: Callable[[Config], Claims]
    safeguards: tuple[Safeguard, ...]
    options: tuple[Option, ...]
    locks: Callable[[Mapping[str, Any], Config], Iterable[tuple[str, str]]] = lambda _tables, _config: ()
    layout: Layout = Layout.APART
    lazy: frozenset[str] = frozenset()
    unheard: frozenset[str] = frozenset()
    states: Mapping[str, frozenset[StateKind]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = frozenset(StateKind)
        for state, kinds in self.states.items():
            if not kinds or not kinds <= known:
                wrong = f"{self.name} maps its state {state!r} to {', '.join(map(str, kinds)) or 'nothing'}"
                raise UsageError(f"{wrong}; a state has one kind or more of: {', '.join(sorted(known))}")

    def kinds_of(self, state: str) -> frozenset[StateKind]:
        """The kinds of a listed state. Raises ``UsageError`` naming one that ``states`` does not have."""
        if state not in self.states:
            known = ", ".join(self.states) or "none"
            raise UsageError(
                f"{self.name} lists a transaction as {state!r}, which Protocol.states does not map; it has: {known}"
            )
        return self.states[state]

    def store_of(self, service: str) -> str:
        """The service whose store keeps the data of ``service``: its own, or the coordinator's for all of them."""
        if self.layout is Layout.APART:
            return service
        return next(name for name, role in self.roles.items() if role.name == "coordinator")

    def configure(
        self, options: Mapping[str, str] | None = None, ablate: tuple[str, ...] = (), timing: Timing | None = None
    ) -> Config:
        """A checked configuration with every default filled in. Raises ``UsageError`` naming the bad value."""
        known = {option.name: option for option in self.options}
        for name, value in (options or {}).items():
            if name not in known:
                raise UsageError(f"{self.name} has no option {name!r}; it has: {', '.join(known) or 'none'}")
            if value not in known[name].choices:
                raise UsageError(f"{name}={value!r} is not one of: {', '.join(known[name].choices)}")
        names = [safeguard.name for safeguard in self.safeguards]
        for name in ablate:
            if name not in names:
                raise UsageError(f"{self.name} has no safeguard {name!r}; it has: {', '.join(names)}")
        whole = dict(options or {})
        for option in self.options:
            whole.setdefault(option.name, option.default_with(whole))
        return Config({name: whole[name] for name in known}, frozenset(ablate), timing or Timing())

    def refuse_idle_ablation(self, config: Config) -> None:
        """Raise ``UsageError`` for a safeguard that was switched off where it has nothing to do: the run would show nothing."""
        for one in self.safeguards:
            needed = [f"--{name} {value}" for name, value in one.under if config.options[name] != value]
            idle = [f"--{name} {value}" for name, value in one.not_under if config.options[name] == value]
            if not config.keeps(one.name) and (needed or idle):
                why = f"it is for {' '.join(needed)}" if needed else f"it has nothing to do with {' '.join(idle)}"
                raise UsageError(f"--ablate {one.name} would change nothing: {why}; change that, or leave --ablate out")
