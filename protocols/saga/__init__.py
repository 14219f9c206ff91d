"""An orchestrated saga with fenced steps, as the registry returns it."""

from importlib.resources import files

from protocols import copies
from protocols.claims import Claims, Option, Safeguard
from protocols.core import Config, Protocol, Role, StateKind
from protocols.saga import commands, machine
from protocols.shop import commands as shop_commands
from protocols.shop import keyed
from protocols.store.fences import FENCED

SAFEGUARDS = (
    Safeguard("start-record", "the start record is durable before the first step", "a crash forgets a reservation"),
    Safeguard("force-step", "a step is durable before its report", "a paid order without one of its steps"),
    Safeguard(
        "force-compensation",
        "a compensation is durable before its report",
        "an ended saga without one of its compensations",
    ),
    Safeguard(
        "force-confirm",
        "a payment is durable before its acknowledgement",
        "an acknowledged checkout that is compensated later",
    ),
    Safeguard(
        "force-abort",
        "the decision to compensate is durable before the first compensation",
        "compensation in one instance, progress in another",
    ),
    Safeguard(
        "one-decision",
        "a paid saga is never compensated, a compensated saga never paid",
        "two instances decide differently",
    ),
    Safeguard(
        "compensate-unknown",
        "a step without an answer is compensated as well",
        "a step that took effect keeps its effect",
    ),
    Safeguard(
        "end-after-compensations",
        "a saga ends after the acknowledgement of every compensation",
        "a lost compensation never happens",
    ),
    Safeguard("replay-verdict", "a stored decision answers a repeated message", "a doubled step takes effect twice"),
    Safeguard(
        "fence-compensation",
        "a compensation without its step prevents the step",
        "a late step takes effect after its compensation",
    ),
    Safeguard(
        "compensate-recorded",
        "a compensation undoes a recorded step, and only once",
        "a compensation returns more than the step took",
    ),
    Safeguard(
        "same-life",
        "an account that was created anew receives no compensation",
        "an account holds more than its new amount",
    ),
    Safeguard("refuse-stale", "a message of a saga that ended long ago is rejected", "a late step takes effect again"),
    Safeguard("guard", "no balance falls below zero", "the shop sells more than its stock"),
    Safeguard(
        "begin-once",
        "a saga begins once, and never from a former life",
        "a late copy begins a compensated saga, which is then paid",
    ),
    Safeguard("order-lock", "an order has one transaction at a time", "two checkouts at once charge an order twice"),
)


def claims(config: Config) -> Claims:
    return Claims(
        atomicity="eventually",
        isolation="none",
        durability="as the log of the store: everything at always; at everysec not the last second, nor a write on a full disk",
        blocking="none: reservations are visible, and a saga waits for an absent node without blocking others",
        recovery_s=5.0,
        blocking_s=config.timing.takeover_s,
        outage_s=config.timing.takeover_s,
    )


PROTOCOL = Protocol(
    name="saga",
    summary="an orchestrated saga: fenced steps in sequence, compensated in reverse",
    roles={
        "order": Role("coordinator", machine.orchestrator, "unfinished", lambda timing: timing.patience_ms),
        "stock": Role("participant", machine.branch, "unfinished", lambda timing: timing.patience_ms),
        "payment": Role("participant", machine.branch, "unfinished", lambda timing: timing.patience_ms),
    },
    messages=machine.MESSAGES,
    commands={**shop_commands.COMMANDS, **commands.COMMANDS},
    library=(files("protocols.saga") / "commands.lua").read_text("utf-8"),
    claims=claims,
    fire_and_forget=frozenset({"note", "end"}),
    states={
        "executing": frozenset({StateKind.OPEN}),
        "compensating": frozenset({StateKind.OPEN}),
        FENCED: frozenset({StateKind.FENCES}),
    },
    safeguards=(*SAFEGUARDS, *keyed.SAFEGUARDS, keyed.REJECT_DECIDED, *copies.SAFEGUARDS),
    options=(
        Option(
            "reply",
            "wait",
            ("wait", "accepted"),
            "answer to a checkout: at its end, or at once with 202 and a status address",
        ),
    ),
)
