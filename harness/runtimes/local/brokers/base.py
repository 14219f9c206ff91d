"""What a kind of broker is given, and what it makes of that."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.runtimes.deployment.probe import Probe

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class BrokerSetting:
    """What a broker is laid out with. `port` hands out free ports, `via` is the port by which a client reaches one.

    `clients` are the names of the service processes. `private` writes a file for the owner's eyes only.
    """

    data: Path
    durability: str
    clients: tuple[str, ...]
    port: Callable[[], int]
    via: Callable[[str, int], int]
    private: Callable[[str, str], Path]


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker before it runs. `urls`: where each client finds it, with a password if it has one; `shown`: without."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    shown: str
    urls: Mapping[str, str]
    serves: Probe
