"""Two-phase commit with two-phase locking and presumed abort, as the registry returns it."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from protocols import copies
from protocols.claims import SEES_OWN_WRITES, Claims, Option, Safeguard
from protocols.core import Config, Protocol, Role, StateKind
from protocols.shop import commands as shop_commands
from protocols.shop import keyed
from protocols.store.fences import FENCED
from protocols.store.lives import BLOCK, SHORT_LOG
from protocols.two_phase import commands, machine, messages

ESCROW = (("locks", "escrow"),)

SAFEGUARDS = (
    Safeguard("unanimous", "a commit requires the yes votes of all branches", "a branch that voted no is left out"),
    Safeguard("force-prepare", "PREPARED is durable before the vote", "a yes vote that the participant cannot keep"),
    Safeguard(
        "force-commit", "COMMIT is durable before any message about it", "an acknowledged commit, then a presumed abort"
    ),
    Safeguard(
        "force-committed",
        "COMMITTED is durable before the acknowledgement",
        "a commit that the coordinator forgets, then a presumed abort",
    ),
    Safeguard(
        "end-after-acks",
        "COMMIT is kept until every branch acknowledges",
        "an inquiry about a commit is answered with abort",
    ),
    Safeguard(
        "fence-inquiry",
        "an inquiry prevents the commit of an undecided transaction",
        "an abort in one branch, a commit in another",
    ),
    Safeguard("replay-verdict", "a stored decision answers a repeated message", "a doubled message takes effect twice"),
    Safeguard(
        "refuse-stale",
        "a message of a transaction that ended long ago is rejected",
        "a late message takes effect again",
    ),
    Safeguard(
        "locks", "the keys of a prepared branch are locked for all others", "two transactions spend the same money"
    ),
    Safeguard("guard", "no balance falls below zero", "the shop sells more than its stock"),
    Safeguard(
        "begin-once", "a transaction begins once", "a late copy begins an aborted transaction, which then commits"
    ),
    Safeguard(
        "escrow-guard",
        "an amount that others reserved is not available",
        "an amount is reserved twice, and the shop sells more than its stock",
        ESCROW,
    ),
    Safeguard(
        "escrow-record",
        "PREPARED records the reserved amounts",
        "a yes vote that the participant cannot keep: the amount is sold meanwhile",
        ESCROW,
    ),
    Safeguard("escrow-return", "an abort returns the reserved amounts", "an amount that is never sold", ESCROW),
    Safeguard("order-lock", "an order has one transaction at a time", "two checkouts at once charge an order twice"),
    Safeguard(
        "deadlock-policy",
        "the ages of two transactions decide which one may wait",
        "two transactions wait for each other forever",
        not_under=ESCROW,
    ),
)


def claims(config: Config) -> Claims:
    escrow = config.options["locks"] == "escrow"
    blocking = "a participant in doubt holds its locks until the coordinator answers; other transactions wait for them"
    if escrow:
        blocking = (
            "a participant in doubt keeps its reserved amounts until the coordinator answers; the remainder is free"
        )
    recovery_s: float | None = 2.0
    if config.options[SHORT_LOG] == BLOCK:
        recovery_s = None
        blocking += (
            "; after a restart of a store, transactions from before it may stay in doubt until an operator decides"
        )
    return Claims(
        atomicity="atomic",
        isolation=_isolation(config.options["reads"], escrow=escrow),
        durability="as the log of the store: everything at always; at everysec not the last second, nor a write on a full disk",
        blocking=blocking,
        recovery_s=recovery_s,
        blocking_s=config.timing.takeover_s,
        outage_s=_outage_s(config, escrow=escrow),
        own_writes=_own_writes(config.options["reads"], escrow=escrow),
    )


def _outage_s(config: Config, *, escrow: bool) -> float | None:
    """Return the bound on the wait of other requests during the outage of a service, None without a bound.

    Each checkout that needs the absent service holds its locks for its time limit, one checkout after the other. Under escrow
    others take from the unreserved rest, but a read with ``settled`` waits for all of them.
    """
    return config.timing.takeover_s if escrow and config.options["reads"] != "settled" else None


def _isolation(reads: str, *, escrow: bool) -> str:
    """Return the level of isolation.

    Under escrow two checkouts of the same item and user may reach stock and payment in opposite orders. A read in between shows
    that, and it is a cycle of writes (G0): no amount is lost, but no level allows it. With ``settled`` a read cannot show it: it
    waits until no transaction is prepared on the account, so it returns the effects of all decided transactions and no others.
    """
    if reads == "settled" or (reads == "locked" and not escrow):
        return "strict-serializable"
    return "none" if escrow else "read-committed"


def _own_writes(reads: str, *, escrow: bool) -> str:
    """Return the claim about own writes: a client receives its answer before the participants receive the commit."""
    if reads == "settled" or (reads == "locked" and not escrow):
        return SEES_OWN_WRITES
    return "not claimed: a read just after a 200 may return the balance before it; `--reads settled` waits"


def held(tables: Mapping[str, Any], config: Config) -> Iterator[tuple[str, str]]:
    """Yield each key of each prepared transaction, which needs it exclusively; under escrow no key is exclusive."""
    if config.options["locks"] == "escrow":
        return
    for txn, record in tables.get("prepared", {}).items():
        yield from ((key, txn) for key, _ in record.changes)


PROTOCOL = Protocol(
    name="2pc",
    summary="two-phase commit, strict two-phase locking, presumed abort",
    roles={
        "order": Role("coordinator", machine.coordinator, "unfinished", lambda timing: timing.patience_ms),
        "stock": Role("participant", machine.participant, "doubts", lambda timing: timing.inquire_after_ms),
        "payment": Role("participant", machine.participant, "doubts", lambda timing: timing.inquire_after_ms),
    },
    messages=messages.MESSAGES,
    commands={**shop_commands.COMMANDS, **commands.COMMANDS},
    library="\n".join(
        (files("protocols.two_phase") / f"{name}.lua").read_text("utf-8") for name in ("escrow", "locks", "commands")
    ),
    claims=claims,
    safeguards=(*SAFEGUARDS, *keyed.SAFEGUARDS, keyed.REJECT_DECIDED, *copies.SAFEGUARDS),
    options=(
        Option(
            "locks",
            "wait-die",
            ("wait-die", "no-wait", "wound-wait", "escrow"),
            "policy for lock conflicts; escrow reserves amounts instead of locks",
        ),
        Option(
            "reads",
            "locked",
            ("locked", "committed", "settled"),
            "reads wait for locks, return the last committed value, or wait for escrows",
            under=(("locks", "escrow", "settled"),),
        ),
        Option(
            SHORT_LOG,
            "presume",
            ("presume", BLOCK),
            "a store that ran anew may have lost its last writes: presume that it has not, or block what is in doubt",
        ),
    ),
    locks=held,
    batched=frozenset({"end"}),
    states={
        "open": frozenset({StateKind.OPEN}),
        "committed": frozenset({StateKind.OPEN}),
        "prepared": frozenset({StateKind.IN_DOUBT, StateKind.LOCKS}),
        "queued": frozenset({StateKind.LOCKS}),
        FENCED: frozenset({StateKind.FENCES}),
    },
)
