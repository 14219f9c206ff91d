"""What a service process is told, through its environment. Unknown values are refused by name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from protocols.core import Timing, UsageError
from protocols.service import faults

SERVICES = ("order", "stock", "payment")


@dataclass(frozen=True, slots=True)
class Settings:
    """``limit_ms``: how long a client's request may take before it hears that the outcome is unknown.

    ``routes``: where messages to an instance's address go instead.
    """

    service: str
    node: str
    protocol: str
    host: str
    port: int
    advertise: str
    store_url: str = field(repr=False)
    peers: Mapping[str, tuple[str, ...]]
    routes: Mapping[str, str]
    secret: str = field(repr=False)
    options: Mapping[str, str]
    ablate: tuple[str, ...]
    faults: faults.Faults
    limit_ms: int
    log_level: str

    @property
    def timing(self) -> Timing:
        return Timing(patience=self.limit_ms + 2_000)

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Settings":
        """From ``WDM_*`` variables. Raises ``UsageError`` naming the variable and what it must be."""
        service = _need(env, "WDM_SERVICE")
        if service not in SERVICES:
            raise UsageError(f"WDM_SERVICE={service!r} is not one of: {', '.join(SERVICES)}")
        host, _, port = _need(env, "WDM_LISTEN").rpartition(":")
        peers = _json(env, "WDM_PEERS", "{}")
        return cls(
            service=service,
            node=env.get("WDM_NODE") or f"{service}-1",
            protocol=_need(env, "WDM_PROTOCOL"),
            host=host,
            port=_number("WDM_LISTEN's port", port),
            advertise=env.get("WDM_ADVERTISE") or f"http://{host}:{port}",
            store_url=_need(env, "WDM_STORE_URL"),
            peers={name: tuple(addresses) for name, addresses in peers.items()},
            routes=_json(env, "WDM_ROUTES", "{}"),
            secret=_need(env, "WDM_SECRET"),
            options=_json(env, "WDM_OPTIONS", "{}"),
            ablate=tuple(filter(None, env.get("WDM_ABLATE", "").split(","))),
            faults=_faults(env.get("WDM_FAULTS") or "{}"),
            limit_ms=_number("WDM_TIME_LIMIT_MS", env.get("WDM_TIME_LIMIT_MS", "10000")),
            log_level=env.get("WDM_LOG_LEVEL", "info"),
        )


def _need(env: Mapping[str, str], name: str) -> str:
    if not env.get(name):
        raise UsageError(f"{name} is not set; `wdm up` sets it, see protocols/service/settings.py")
    return env[name]


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{name} must be a whole number, not {text!r}") from None


def _faults(text: str) -> faults.Faults:
    try:
        return faults.read(text.encode())
    except ValueError as error:
        raise UsageError(f"WDM_FAULTS: {error}") from None


def _json(env: Mapping[str, str], name: str, default: str) -> Any:
    try:
        value = json.loads(env.get(name) or default)
    except json.JSONDecodeError as error:
        raise UsageError(f"{name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{name} must be a JSON object, not {type(value).__name__}")
    return value
