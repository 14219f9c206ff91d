"""The control: no protocol at all, as the registry returns it."""

from importlib.resources import files

from protocols.claims import Claims
from protocols.core import Config, Protocol, Role
from protocols.shop import commands as shop_commands
from protocols.unprotected import commands, machine


def claims(config: Config) -> Claims:
    """Return the claims of the shop's contract, which this control does not keep."""
    return Claims(
        atomicity="atomic",
        isolation="none",
        durability="as the log of the store",
        blocking="none",
        recovery_s=2.0,
        blocking_s=config.timing.takeover_s,
        outage_s=config.timing.takeover_s,
    )


PROTOCOL = Protocol(
    name="unprotected",
    summary="no protocol: calls in sequence, compensation from memory (the control)",
    roles={
        "order": Role("coordinator", machine.coordinator, "unfinished", lambda timing: timing.patience_ms),
        "stock": Role("participant", machine.participant, "unfinished", lambda timing: timing.patience_ms),
        "payment": Role("participant", machine.participant, "unfinished", lambda timing: timing.patience_ms),
    },
    messages=machine.MESSAGES,
    commands={**shop_commands.COMMANDS, **commands.COMMANDS},
    library=(files("protocols.unprotected") / "commands.lua").read_text("utf-8"),
    claims=claims,
    safeguards=(),
    options=(),
)
