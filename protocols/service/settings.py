"""The settings of a service process, from its environment. A wrong value is rejected by the name of its variable."""

import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from protocols.copies.managed import ManagedStore
from protocols.core import Timing
from protocols.errors import UsageError
from protocols.service import faults
from protocols.shop.memory import STORE_MEMORY_MB
from protocols.shop.request_context import STATUSES
from protocols.shop.services import SERVICES

PATIENCE_MS = 2_000
DAY_MS = 86_400_000
MOST = 10**9
_WHOLE = re.compile(r"[0-9]{1,10}")
EXAMPLE = "choose-your-own"
ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - a container listens on all addresses


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process of `service`; `node` is the instance's name, and no other process may have it.

    It listens on `host:port`; `advertise` is the URL for messages to it. `peers` maps each service to the URLs of its
    instances, and `routes` maps such a URL to another one that this process must use instead. `transport` is one of
    `links.TRANSPORTS`; `broker_url` is the address of its broker, if it has one. `limit_ms` bounds a client's request, whose
    outcome is unknown after that. One of `trace` transactions is traced; 0 for none. `statuses` is one of
    `request_context.STATUSES`. `store_memory_mb` is the memory limit of the service's store. `managed`: the manager of its
    copies, None without one; the servers are the URLs of `store_url`, separated by spaces.
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
    transport: str
    broker_url: str = field(repr=False)
    secret: str = field(repr=False)
    options: Mapping[str, str]
    ablate: tuple[str, ...]
    faults: faults.Faults
    limit_ms: int
    log_level: str
    trace: int = 0
    statuses: str = "exact"
    store_memory_mb: int = STORE_MEMORY_MB
    managed: ManagedStore | None = None

    @property
    def timing(self) -> Timing:
        return timing_for(self.limit_ms)

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Settings":
        """Read `WDM_*` variables. Raises `UsageError` that names the variable and the values that it may have."""
        service = _need(env, "WDM_SERVICE")
        if service not in SERVICES:
            raise UsageError(f"WDM_SERVICE={service!r} is not one of: {', '.join(SERVICES)}")
        host, _, port = _need(env, "WDM_LISTEN").rpartition(":")
        if host in ANY_ADDRESS:
            # In a container: its host name is unique among the instances, and its peers reach it by that name.
            default_node = reachable_host = socket.gethostname()
        else:
            default_node, reachable_host = f"{service}-1", host
        peers = _json(env, "WDM_PEERS", "{}")
        return cls(
            service=service,
            node=env.get("WDM_NODE") or default_node,
            protocol=_need(env, "WDM_PROTOCOL"),
            host=host,
            port=_number("WDM_LISTEN's port", port, 0, 65_535),
            advertise=env.get("WDM_ADVERTISE") or f"http://{reachable_host}:{port}",
            store_url=_need(env, "WDM_STORE_URL"),
            peers={name: tuple(addresses) for name, addresses in peers.items()},
            routes=_json(env, "WDM_ROUTES", "{}"),
            transport=env.get("WDM_TRANSPORT") or "http",
            broker_url=env.get("WDM_BROKER_URL", ""),
            secret=_secret(env, "WDM_SECRET"),
            options=_json(env, "WDM_OPTIONS", "{}"),
            ablate=tuple(filter(None, env.get("WDM_ABLATE", "").split(","))),
            faults=_faults(env.get("WDM_FAULTS") or "{}"),
            limit_ms=_number("WDM_TIME_LIMIT_MS", env.get("WDM_TIME_LIMIT_MS", "10000"), 1, DAY_MS),
            log_level=env.get("WDM_LOG_LEVEL", "info"),
            trace=_number("WDM_TRACE", env.get("WDM_TRACE") or "0", 0, MOST),
            statuses=_statuses(env.get("WDM_STATUSES") or "exact"),
            store_memory_mb=_number(
                "WDM_STORE_MEMORY_MB", env.get("WDM_STORE_MEMORY_MB") or str(STORE_MEMORY_MB), 1, MOST
            ),
            managed=_managed(env.get("WDM_STORE_MANAGED") or "", _need(env, "WDM_STORE_URL")),
        )


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables, replaced by those in the JSON file `WDM_ENVIRONMENT_FILE`, if that exists.

    A container keeps its variables from one life to the next, so only a file can change them at a restart. Raises `UsageError`
    for a file that is no JSON object of texts.
    """
    name = env.get("WDM_ENVIRONMENT_FILE")
    if not name or not Path(name).is_file():
        return dict(env)
    replaced = _json({name: Path(name).read_text("utf-8")}, name, "{}")
    for variable, value in replaced.items():
        if not isinstance(value, str):
            raise UsageError(f"{name}: {variable} must be a text, not {value!r}")
    return {**env, **replaced}


def timing_for(limit_ms: int) -> Timing:
    """Return the timing of a service whose requests take at most `limit_ms`: its patience must outlast them."""
    return Timing(patience_ms=limit_ms + PATIENCE_MS)


def _secret(env: Mapping[str, str], name: str) -> str:
    """Return a secret. The published example is rejected."""
    if (value := _need(env, name)).startswith(EXAMPLE):
        raise UsageError(f"{name} is the published example; choose your own")
    return value


def _need(env: Mapping[str, str], name: str) -> str:
    if not env.get(name):
        raise UsageError(f"{name} is not set; `wdm up` sets it, see protocols/service/settings.py")
    return env[name]


def _number(name: str, text: str, low: int, high: int) -> int:
    if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
        raise UsageError(f"{name} must be a whole number from {low} to {high}, not {text!r}")
    return int(text)


def _statuses(text: str) -> str:
    if text not in STATUSES:
        raise UsageError(f"WDM_STATUSES={text!r} is not one of: {', '.join(STATUSES)}")
    return text


def _faults(text: str) -> faults.Faults:
    try:
        return faults.from_json(text.encode())
    except ValueError as error:
        raise UsageError(f"WDM_FAULTS: {error}") from None


def _managed(text: str, urls: str) -> ManagedStore | None:
    if not text:
        return None
    try:
        managed = msgspec.json.decode(text, type=ManagedStore)
    except msgspec.MsgspecError as error:
        raise UsageError(f"WDM_STORE_MANAGED: {error}") from None
    if len(managed.servers) != len(urls.split()):
        raise UsageError(
            f"WDM_STORE_MANAGED names {len(managed.servers)} servers, and WDM_STORE_URL has {len(urls.split())} URLs"
        )
    return managed


def _json(env: Mapping[str, str], name: str, default: str) -> Any:
    try:
        value = json.loads(env.get(name) or default)
    except json.JSONDecodeError as error:
        raise UsageError(f"{name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{name} must be a JSON object, not {type(value).__name__}")
    return value
