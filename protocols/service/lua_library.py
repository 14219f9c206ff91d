"""The store commands of a protocol, as one Valkey Functions library and as the pure twin in memory."""

from importlib.resources import files
from typing import Any

from protocols import lives
from protocols.core import Command, Config, Protocol
from protocols.shop import payments

NAME = "wdm"


def source(protocol: Protocol, config: Config) -> str:
    """Return the Lua text for `FUNCTION LOAD REPLACE`: the configuration, the shop's commands, the protocol's own."""
    shared, shop = files("protocols"), files("protocols.shop")
    return "\n".join(
        (
            f"#!lua name={NAME}",
            f"local OPTIONS = {{{_fields(dict(config.options))}}}",
            f"local ABLATED = {{{_fields(dict.fromkeys(sorted(config.ablated), True))}}}",
            (shop / "prelude.lua").read_text("utf-8"),
            (shared / "lives.lua").read_text("utf-8"),
            (shop / "ledger.lua").read_text("utf-8"),
            (shop / "payments.lua").read_text("utf-8"),
            (shared / "records.lua").read_text("utf-8"),
            protocol.library,
        )
    )


def _fields(table: dict[str, Any]) -> str:
    return ", ".join(f"['{key}'] = {'true' if value is True else repr(str(value))}" for key, value in table.items())


class Twin:
    """The store in memory: the same commands as pure functions over `tables`, for the simulator and the search."""

    def __init__(self, protocol: Protocol, config: Config) -> None:
        self.tables: dict[str, dict[str, Any]] = {}
        self._commands = {**lives.COMMANDS, **payments.COMMANDS, **protocol.commands}
        self._config = config

    def run(self, command: Command, now: int) -> tuple[Any, ...]:
        """Execute a command; return its reply. `tables` hold its effect."""
        return self._commands[command.name](self.tables, self._config, now, *command.args)
