"""An orchestrated saga with fenced steps, as the registry hands it out."""

from importlib.resources import files

from protocols.claims import Claims, Option, Safeguard
from protocols.core import Config, Protocol, Role, StateKind
from protocols.records import FENCED
from protocols.saga import commands, machine
from protocols.shop import ledger

SAFEGUARDS = (
    Safeguard("start-record", "the start record is durable before the first step", "a crash forgets what was reserved"),
    Safeguard("force-step", "a step is durable before it is reported as done", "paid, and a step of it is missing"),
    Safeguard("force-undo", "a compensation is durable before it is reported", "ended, and something is not undone"),
    Safeguard("force-confirm", "paid is durable before the client hears of it", "told yes, then undone"),
    Safeguard("force-turn", "the turn is durable before the first compensation", "undone here, gone on with there"),
    Safeguard("one-decision", "what is paid is not undone, what is undone is not paid", "two instances disagree"),
    Safeguard("undo-unknown", "a step without an answer is undone as well", "what was done after all stays done"),
    Safeguard(
        "end-after-undone", "a saga ends after every compensation is acknowledged", "what was lost is never undone"
    ),
    Safeguard(
        "replay-verdict", "a stored verdict answers before anything is tried", "a doubled step takes effect twice"
    ),
    Safeguard("fence-undo", "to undo what was never done forbids to do it", "a late step takes effect after its undo"),
    Safeguard("undo-recorded", "only what was done is undone, and once", "more comes back than was taken"),
    Safeguard("same-life", "an account that was set anew is given nothing back", "more is there than was set"),
    Safeguard("refuse-stale", "what ended long ago is refused", "a late step takes effect again"),
    Safeguard("guard", "no balance below zero", "more sold than there is"),
    Safeguard(
        "begin-once", "a saga is begun once, and by no former life", "what is undone is begun by a late copy, and paid"
    ),
    Safeguard("order-lock", "one transaction an order at a time", "a checkout at once is charged twice"),
)


def claims(config: Config) -> Claims:
    return Claims(
        atomicity="eventually",
        isolation="none",
        durability="as the store's log: always, or up to a second, and what met a full disk, at everysec",
        blocking="none: what is reserved can be seen, and a saga waits for what is down without holding others up",
        recovery_s=5.0,
        blocking_s=config.timing.takeover_s,
        outage_s=config.timing.takeover_s,
    )


PROTOCOL = Protocol(
    name="saga",
    summary="an orchestrated saga: fenced steps one after the other, compensated in reverse",
    roles={
        "order": Role("coordinator", machine.orchestrator, "unfinished", lambda timing: timing.patience),
        "stock": Role("participant", machine.branch, "unfinished", lambda timing: timing.patience),
        "payment": Role("participant", machine.branch, "unfinished", lambda timing: timing.patience),
    },
    messages=machine.MESSAGES,
    commands={**ledger.COMMANDS, **commands.COMMANDS},
    library=(files("protocols.saga") / "commands.lua").read_text("utf-8"),
    claims=claims,
    unheard=frozenset({"note", "end"}),
    states={
        "running": frozenset({StateKind.OPEN}),
        "undoing": frozenset({StateKind.OPEN}),
        FENCED: frozenset({StateKind.FENCES}),
    },
    safeguards=SAFEGUARDS,
    options=(
        Option(
            "reply",
            "wait",
            ("wait", "accepted"),
            "a checkout is answered at its end, or at once with 202 and where to ask",
        ),
    ),
)
