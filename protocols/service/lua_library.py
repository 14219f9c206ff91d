"""The store commands of a protocol as one Valkey Functions library; `protocols/store/twin.py` has them in memory."""

from importlib.resources import files
from typing import Any

from protocols.core import Config, Protocol

NAME = "wdm"


def source(protocol: Protocol, config: Config, key_prefix: str = "") -> str:
    """Return the Lua text for `FUNCTION LOAD REPLACE`: the configuration, the shop's commands, the protocol's own.

    Every key of the store begins with `key_prefix`, in a cluster a hash tag: the keys of one command share a slot.
    """
    store, shop = files("protocols.store"), files("protocols.shop")
    return "\n".join(
        (
            f"#!lua name={NAME}",
            f"local OPTIONS = {{{_fields(dict(config.options))}}}",
            f"local KEY_PREFIX = '{key_prefix}'",
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
