"""The whole checkout in one function of one store, as the registry returns it."""

from importlib.resources import files

from protocols import copies
from protocols.claims import Claims, Safeguard
from protocols.core import Config, Layout, Protocol, Role
from protocols.lua_atomic import commands, machine
from protocols.shop import commands as shop_commands
from protocols.shop import keyed

SAFEGUARDS = (
    Safeguard(
        "check-first",
        "all conditions are checked before the first write",
        "goods are taken without a payment, and no rollback follows",
    ),
    Safeguard(
        "force-checkout",
        "the checkout is durable before its acknowledgement",
        "an acknowledged checkout that never happened",
    ),
    Safeguard(
        "replay-verdict", "a stored decision answers a late or repeated command", "a late copy pays a rejected checkout"
    ),
    Safeguard("guard", "no balance falls below zero", "the shop sells more than its stock"),
)


def claims(config: Config) -> Claims:
    return Claims(
        atomicity="atomic",
        isolation="strict-serializable",
        durability="as the log of the store: everything at always; at everysec not the last second, nor a write on a full disk",
        blocking="no transaction waits for another; without the one store no request succeeds",
        recovery_s=2.0,
        blocking_s=config.timing.takeover_s,
        outage_s=config.timing.takeover_s,
        data="one store for all services, with all keys in one hash slot",
    )


PROTOCOL = Protocol(
    name="lua",
    summary="the whole checkout in one function of one shared store (the upper bound)",
    roles={
        "order": Role("coordinator", machine.coordinator, "unfinished", lambda timing: timing.patience_ms),
        "stock": Role("none", machine.no_role, "unfinished", lambda timing: timing.patience_ms),
        "payment": Role("none", machine.no_role, "unfinished", lambda timing: timing.patience_ms),
    },
    messages=machine.MESSAGES,
    commands={**shop_commands.COMMANDS, **commands.COMMANDS},
    library=(files("protocols.lua_atomic") / "commands.lua").read_text("utf-8"),
    claims=claims,
    safeguards=(*SAFEGUARDS, *keyed.SAFEGUARDS, *copies.SAFEGUARDS),
    options=(),
    layout=Layout.SHARED,
)
