"""The store commands of a protocol as one Valkey Functions library; `protocols/store/twin.py` has them in memory."""

from importlib.resources import files
from typing import Any

from protocols.core import Config, Protocol

NAME = "wdm"


def source(protocol: Protocol, config: Config) -> str:
    """Return the Lua text for `FUNCTION LOAD REPLACE`: the configuration, the shop's commands, the protocol's own."""
    store, shop = files("protocols.store"), files("protocols.shop")
    return "\n".join(
        (
            f"#!lua name={NAME}",
            f"local OPTIONS = {{{_fields(dict(config.options))}}}",
            f"local ABLATED = {{{_fields(dict.fromkeys(sorted(config.ablated), True))}}}",
            *(
                (store / f"{name}.lua").read_text("utf-8")
                for name in ("prelude", "tables", "lives", "fences", "keys", "epochs")
            ),
            *((shop / f"{name}.lua").read_text("utf-8") for name in ("ledger", "ledger_orders", "payments", "keyed")),
            protocol.library,
        )
    )


def _fields(table: dict[str, Any]) -> str:
    return ", ".join(f"['{key}'] = {'true' if value is True else repr(str(value))}" for key, value in table.items())
