"""The vocabulary of a protocol: events, effects, commands, roles. Its promises are in `protocols/claims.py`.

A protocol is a value. Each of its roles is a pure function

    step(config, state, event) -> (state, effects)

over frozen structs: no clock, no randomness, no I/O, no ``await``. The shell around it (the driver in
``protocols.service``, the search and the simulator in ``harness``) passes events to it and carries out its effects.

The order of the effects is the contract. A crash may fall between any two of them:

- ``Persist(command)``  a forced write: one atomic command on this node's store, durable before any effect after it.
- ``Do(command)``       one atomic command on this node's store, sent in order; no effect waits for it.
- ``Send(to, message)`` a message, which may be lost, doubled, delayed and reordered.
- ``SetTimer``, ``CancelTimer``  volatile: a crash forgets them. The timer named ``deadline`` ends an undecided transaction.
- ``Reply(outcome)``    the answer to the client.

The result of a ``Persist`` or a ``Do`` comes back as ``Done(command, result)``. A role receives the events of one
transaction one after another; the state ``None`` means that this node has nothing volatile about it, no timer either.
Recovery is an event, never a constructor: after a crash every state is ``None``, and the records of the store come
back as ``Recovered(record)``.

After "sans-I/O" (h11) and the ready-struct of etcd's raft; the split in events and effects follows
Lampson, "How to build a highly available system using consensus" (1996), section 3.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from protocols.claims import Claims, Option, Safeguard
from protocols.errors import UsageError
from protocols.outcomes import Outcome

# ---------------------------------------------------------------- events: the inputs of a machine


class Request(Struct, frozen=True, gc=False):
    """A client's request to change all accounts of ``subject`` (an order) or none, with the values that no machine can compute.

    ``home`` is the service that coordinates the transaction, ``owner`` the instance. ``priority_us`` orders transactions for
    the lock policies: the microseconds since the epoch of the first attempt, which a retry keeps; the smaller one is the older
    transaction. ``horizon`` is a (life, sequence) below which every transaction of the same instance has ended, those of former
    lives as well (``protocols.store.lives``). An undecided transaction is aborted after ``limit_ms``. ``key`` is the idempotency
    key of the request, "" for none. The owner recovers an unfinished transaction of the order if its request had a key in
    ``adopts``: it has received another copy of that one.
    """

    subject: str
    home: str
    owner: str
    priority_us: int
    horizon: tuple[int, int] = (0, 0)
    limit_ms: int = 9_500
    key: str = ""
    adopts: tuple[str, ...] = ()


class Start(Struct, frozen=True, gc=False):
    """The begin of a transaction at its owner."""

    txn: str
    request: Request


class Received(Struct, frozen=True, gc=False):
    """The arrival of a message. ``sender`` is the address of the instance that sent it, to which an answer goes."""

    message: Any
    sender: str


class Done(Struct, frozen=True, gc=False):
    """The result of a command of this transaction."""

    command: "Command"
    result: tuple[Any, ...]


class TimerFired(Struct, frozen=True, gc=False):
    """The end of a timer that was neither cancelled nor set again."""

    name: str


class Recovered(Struct, frozen=True, gc=False):
    """A record of an unfinished transaction in the store, as the recovery command of the role returned it."""

    record: tuple[Any, ...]


Event = Start | Received | Done | TimerFired | Recovered

# ---------------------------------------------------------------- effects: the outputs of a machine


class Command(Struct, frozen=True, gc=False):
    """One atomic step of a store, by name: a pure function in the twin, a Lua function in Valkey.

    ``args`` and results are tuples of str, int, bool and tuples of these, so that both sides compare equal. The store's
    client adds the time: a command receives ``now`` in milliseconds and reads no clock.
    """

    name: str
    args: tuple[Any, ...] = ()


class Persist(Struct, frozen=True, gc=False):
    """A command that is durable before any effect after it."""

    command: Command


class Do(Struct, frozen=True, gc=False):
    """A command that no effect waits for."""

    command: Command


class Send(Struct, frozen=True, gc=False):
    """A message. ``to`` is the name of a service, for any of its instances, or the address of one instance."""

    to: str
    message: Any


class SetTimer(Struct, frozen=True, gc=False):
    """A timer, set again if it is armed. The shell adds a random time of at most ``spread_ms``, so that no two fire at once."""

    name: str
    after_ms: int
    spread_ms: int = 0


class CancelTimer(Struct, frozen=True, gc=False):
    """The end of a timer before it fires."""

    name: str


class Reply(Struct, frozen=True, gc=False):
    """The answer to the client, where this node has one that waits."""

    outcome: Outcome


Effect = Persist | Do | Send | SetTimer | CancelTimer | Reply
Effects = tuple[Effect, ...]


class Branch(Struct, frozen=True, gc=False):
    """One shard's share of a transaction. ``changes`` are ``(key, delta)``, a key at most once."""

    service: str
    shard: int
    changes: tuple[tuple[str, int], ...]

    @property
    def name(self) -> str:
        return f"{self.service}/{self.shard}"


# ---------------------------------------------------------------- configuration, roles, protocols


class Timing(Struct, frozen=True):
    """The pauses of a protocol. They decide about progress only: no choice of them can make a protocol unsafe.

    ``patience_ms`` is the age at which an undecided transaction may be ended by another instance than its owner; it is longer
    than the longest limit of a request. ``inquire_after_ms`` is the time in doubt before a participant inquires.
    ``sweep_every_ms`` is the pause between two looks for unfinished transactions. A message without an answer is repeated after
    ``retry_ms``, a prepare without a vote, which may wait for a lock, after ``vote_retry_ms``.
    """

    vote_retry_ms: int = 1_000
    retry_ms: int = 250
    patience_ms: int = 12_000
    inquire_after_ms: int = 500
    sweep_every_ms: int = 250

    @property
    def takeover_s(self) -> float:
        """Return the seconds until others have ended the transactions of a node that stays absent.

        The terms are those of the slowest case: in doubt, a sweep, patience, and one more inquiry.
        """
        return (self.inquire_after_ms + self.sweep_every_ms + self.patience_ms + self.vote_retry_ms) / 1000


class Config(Struct, frozen=True):
    """The configuration of a protocol: its options by name, the safeguards that are switched off, its timing."""

    options: Mapping[str, str] = field(default_factory=dict)
    ablated: frozenset[str] = frozenset()
    timing: Timing = Timing()

    def enabled(self, safeguard: str) -> bool:
        """Return whether a safeguard is not ablated."""
        return safeguard not in self.ablated


Step = Callable[[Any, Any, Event], tuple[Any, Effects]]


class Role(Struct, frozen=True):
    """A step function, and the command that lists the transactions that a crash left unfinished.

    ``recovery`` names a command ``(owner, older_than_ms)`` that returns ``((txn, record), ...)``: the unfinished
    transactions of ``owner``, and older ones of any owner. ``orphan_age_ms`` picks that age from the timing.
    """

    name: str
    step: Step
    recovery: str
    orphan_age_ms: Callable[[Timing], int]


class StateKind(StrEnum):
    """A property of a listed transaction that matters outside the protocol. A probe counts each kind under its value."""

    IN_DOUBT = "in_doubt"  # this node may not decide alone, and waits for the decision
    LOCKS = "locks"  # the transaction holds locks, or waits for one
    FENCES = "fences"  # the transaction has ended, and its fence should have been collected
    OPEN = "open"  # the transaction has not ended, and no other waits for it


class Layout(StrEnum):
    """The stores of a deployment, as a protocol requires them."""

    SEPARATE = "separate"  # one for each service, which no other service can reach
    SHARED = "shared"  # one for all services, the coordinator's


class Protocol(Struct, frozen=True):
    """A protocol as the registry returns it.

    ``roles`` maps a service to its role, ``commands`` the names of the functions in ``library`` (Lua) to their pure twins, which
    take ``(tables, config, now, *args)``. ``locks`` yields ``(key, txn)`` for every exclusive lock in the records of a twin's
    tables. ``layout`` decides which stores a deployment has, see ``store_of``. ``states`` maps each state that the command
    ``list_txns`` lists to its kinds: the harness contains no names of one protocol.

    ``batched`` names commands that take any number of transactions and whose result no role needs: those of several transactions
    are executed as one after a moment, and not at all if the process dies before. ``fire_and_forget`` names other commands whose
    result no role needs.

    Raises ``UsageError`` for a state without a kind.
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
    layout: Layout = Layout.SEPARATE
    batched: frozenset[str] = frozenset()
    fire_and_forget: frozenset[str] = frozenset()
    states: Mapping[str, frozenset[StateKind]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = frozenset(StateKind)
        for state, kinds in self.states.items():
            if not kinds or not kinds <= known:
                wrong = f"{self.name} maps its state {state!r} to {', '.join(map(str, kinds)) or 'nothing'}"
                raise UsageError(f"{wrong}; a state has one kind or more of: {', '.join(sorted(known))}")

    def kinds_of(self, state: str) -> frozenset[StateKind]:
        """Return the kinds of a listed state. Raises ``UsageError`` naming a state that ``states`` lacks."""
        if state not in self.states:
            known = ", ".join(self.states) or "none"
            raise UsageError(
                f"{self.name} lists a transaction as {state!r}, which Protocol.states does not map; it has: {known}"
            )
        return self.states[state]

    def store_of(self, service: str) -> str:
        """Return the service whose store holds the data of ``service``: itself, or the coordinator's for all of them."""
        if self.layout is Layout.SEPARATE:
            return service
        return next(name for name, role in self.roles.items() if role.name == "coordinator")

    def configure(
        self, options: Mapping[str, str] | None = None, ablate: tuple[str, ...] = (), timing: Timing | None = None
    ) -> Config:
        """Return a checked configuration with all defaults. Raises ``UsageError`` naming the bad value."""
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
        """Raise ``UsageError`` for an ablated safeguard that these options make idle: the run would show nothing."""
        for one in self.safeguards:
            needed = [f"--{name} {value}" for name, value in one.under if config.options[name] != value]
            idle = [f"--{name} {value}" for name, value in one.not_under if config.options[name] == value]
            if not config.enabled(one.name) and (needed or idle):
                why = f"it is for {' '.join(needed)}" if needed else f"it has nothing to do with {' '.join(idle)}"
                raise UsageError(f"--ablate {one.name} would change nothing: {why}; change that, or leave --ablate out")
