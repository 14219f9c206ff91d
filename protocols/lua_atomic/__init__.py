"""The whole checkout in one function of one store, as the registry hands it out."""

from importlib.resources import files

from protocols.claims import Claims, Safeguard
from protocols.core import Config, Layout, Protocol, Role
from protocols.lua_atomic import commands, machine
from protocols.shop import ledger

SAFEGUARDS = (
    Safeguard(
        "check-first", "everything is checked before anything is written", "taken and not paid: nothing rolls back"
    ),
    Safeguard(
        "force-checkout", "the checkout is durable before the client hears of it", "told yes, and it never happened"
    ),
    Safeguard(
        "replay-verdict", "what comes late or twice hears the stored verdict", "refused, and then paid by a late copy"
    ),
    Safeguard("guard", "no balance below zero", "more sold than there is"),
)


def claims(config: Config) -> Claims:
    return Claims(
        atomicity="atomic",
        isolation="strict-serializable",
        durability="as the store's log: always, or up to a second, and what met a full disk, at everysec",
        blocking="nobody waits for a transaction; without the one store nobody does anything",
        recovery_s=2.0,
        blocking_s=config.timing.takeover_s,
        outage_s=config.timing.takeover_s,
        data="one store for all services, none owns its own, and all keys in one hash slot",
    )


PROTOCOL = Protocol(
    name="lua",
    summary="the whole checkout in one function of one store that all services share (the upper bound)",
    roles={
        "order": Role("coordinator", machine.cashier, "unfinished", lambda timing: timing.patience),
        "stock": Role("bystander", machine.bystander, "unfinished", lambda timing: timing.patience),
        "payment": Role("bystander", machine.bystander, "unfinished", lambda timing: timing.patience),
    },
    messages=machine.MESSAGES,
    commands={**ledger.COMMANDS, **commands.COMMANDS},
    library=(files("protocols.lua_atomic") / "commands.lua").read_text("utf-8"),
    claims=claims,
    safeguards=SAFEGUARDS,
    options=(),
    layout=Layout.TOGETHER,
)
