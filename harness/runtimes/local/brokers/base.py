"""The input and the output of the plan of a broker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.runtimes.deployment.probe import Probe

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class BrokerSetting:
    """The setting of one node of a broker, `name`. `port` returns free ports, `via(client, port)` the port by which a client
    reaches a port.

    `clients`: the names of the service processes. `private(name, text)` writes a file that only its owner can read.
    """

    name: str
    data: Path
    durability: str
    clients: tuple[str, ...]
    port: Callable[[], int]
    via: Callable[[str, int], int]
    private: Callable[[str, str], Path]


@dataclass(frozen=True, slots=True)
class Broker:
    """A node of a broker before it runs. `urls`: its URL for each client, with a password if it has one; `shown`: without."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    shown: str
    urls: Mapping[str, str]
    serves: Probe
