"""Two-phase commit with two-phase locking and presumed abort, as the registry hands it out."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from protocols.claims import SEES_OWN_WRITES, Claims, Option, Safeguard
from protocols.core import Config, Protocol, Role, StateKind
from protocols.records import FENCED
from protocols.shop import ledger
from protocols.two_phase import commands, machine

ESCROW = (("locks", "escrow"),)

SAFEGUARDS = (
    Safeguard("unanimous", "commit only after every branch voted yes", "a branch that refused is left out"),
    Safeguard("force-prepare", "PREPARED is durable before the vote", "a yes that cannot be kept"),
    Safeguard("force-commit", "COMMIT is durable before anybody hears of it", "told yes, then presumed aborted"),
    Safeguard(
        "force-committed", "COMMITTED is durable before the ack", "forgotten by the coordinator, then presumed aborted"
    ),
    Safeguard(
        "end-after-acks", "COMMIT is kept until every branch acknowledged", "an inquiry about a commit hears abort"
    ),
    Safeguard(
        "fence-inquiry", "an inquiry makes an undecided transaction impossible to commit", "abort here, commit there"
    ),
    Safeguard(
        "replay-verdict", "a stored verdict answers before anything is tried", "a doubled message takes effect twice"
    ),
    Safeguard("refuse-stale", "what ended long ago is refused", "a late message takes effect again"),
    Safeguard("locks", "a prepared branch's keys are nobody else's", "two transactions spend the same money"),
    Safeguard("guard", "no balance below zero", "more sold than there is"),
    Safeguard("open-once", "a transaction is opened once", "what was aborted is opened by a late copy, and committed"),
    Safeguard(
        "escrow-guard",
        "what others have set aside is not there",
        "set aside twice, and more sold than there is",
        ESCROW,
    ),
    Safeguard(
        "escrow-record",
        "what is set aside is recorded with PREPARED",
        "a yes that cannot be kept: it is sold meanwhile",
        ESCROW,
    ),
    Safeguard("escrow-return", "an abort gives back what was set aside", "what nobody bought is never sold", ESCROW),
    Safeguard("order-lock", "one transaction an order at a time", "a checkout at once is charged twice"),
    Safeguard(
        "deadlock-policy",
        "who may wait for whom follows their ages",
        "two wait for each other for ever",
        not_under=ESCROW,
    ),
)


def claims(config: Config) -> Claims:
    escrow = config.options["locks"] == "escrow"
    blocking = "a participant in doubt holds its locks until the coordinator's service answers; others wait for it"
    if escrow:
        blocking = "what a participant in doubt has set aside is kept until the coordinator's service answers; the rest is free"
    return Claims(
        atomicity="atomic",
        isolation=_isolation(config.options["reads"], escrow=escrow),
        durability="as the store's log: always, or up to a second, and what met a full disk, at everysec",
        blocking=blocking,
        recovery_s=2.0,
        blocking_s=config.timing.takeover_s,
        outage_s=_outage_s(config, escrow=escrow),
        own_writes=_own_writes(config.options["reads"], escrow=escrow),
    )


def _outage_s(config: Config, *, escrow: bool) -> float | None:
    """Every checkout that needs what is away holds its locks for its time limit, and one comes after the other.

    Under escrow others take of what is left, but a read of what is settled waits for all of them.
    """
    return config.timing.takeover_s if escrow and config.options["reads"] != "settled" else None


def _isolation(reads: str, *, escrow: bool) -> str:
    """Under escrow two checkouts of the same item and user may reach stock and payment in opposite orders.

    Who reads in between sees that, and it is a cycle of writes (G0): nothing is lost by it, but no level allows it. Who reads
    only what is settled cannot: nobody has prepared there, so all that is decided is in it, and nothing that is not.
    """
    if reads == "settled" or (reads == "locked" and not escrow):
        return "strict-serializable"
    return "none" if escrow else "read-committed"


def _own_writes(reads: str, *, escrow: bool) -> str:
    """A client hears of a commit before the participants do, and a read that waits for nobody may be sooner."""
    if reads == "settled" or (reads == "locked" and not escrow):
        return SEES_OWN_WRITES
    return "not claimed: a read just after a 200 may see the balance before it; `--reads settled` waits for it"


def held(tables: Mapping[str, Any], config: Config) -> Iterator[tuple[str, str]]:
    """Each key of each prepared transaction: what it needs to be nobody else's. What is set aside may be several's."""
    if config.options["locks"] == "escrow":
        return
    for txn, (_, _, _, _, _, changes) in tables.get("prepared", {}).items():
        yield from ((key, txn) for key, _ in changes)


PROTOCOL = Protocol(
    name="2pc",
    summary="two-phase commit, strict two-phase locking, presumed abort",
    roles={
        "order": Role("coordinator", machine.coordinator, "unfinished", lambda timing: timing.patience),
        "stock": Role("participant", machine.participant, "doubts", lambda timing: timing.doubt),
        "payment": Role("participant", machine.participant, "doubts", lambda timing: timing.doubt),
    },
    messages=machine.MESSAGES,
    commands={**ledger.COMMANDS, **commands.COMMANDS},
    library="\n".join(
        (files("protocols.two_phase") / f"{name}.lua").read_text("utf-8") for name in ("escrow", "locks", "commands")
    ),
    claims=claims,
    safeguards=SAFEGUARDS,
    options=(
        Option(
            "locks",
            "wait-die",
            ("wait-die", "no-wait", "wound-wait", "escrow"),
            "what meets a lock waits, dies, or wounds its holder; under escrow, it takes of what is left",
        ),
        Option(
            "reads",
            "locked",
            ("locked", "committed", "settled"),
            "reads wait for locks, see the last committed value, perhaps from before one's own checkout, or wait for escrows",
            under=(("locks", "escrow", "settled"),),
        ),
    ),
    locks=held,
    lazy=frozenset({"end"}),
    states={
        "open": frozenset({StateKind.OPEN}),
        "committed": frozenset({StateKind.OPEN}),
        "prepared": frozenset({StateKind.IN_DOUBT, StateKind.LOCKS}),
        "queued": frozenset({StateKind.LOCKS}),
        FENCED: frozenset({StateKind.FENCES}),
    },
)
