"""Brokers as containers of `docker-compose.yml`: one row a kind in `BROKERS`, which is its service and its profile there."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from harness.runtimes.deployment.plan import BROKER_USER

Listeners = Mapping[str, str]
"""The address that each client is to be told, by the client's name; empty if nobody has one of its own."""


@dataclass(frozen=True, slots=True)
class BrokerService:
    """`url` of a broker `at` an address; `port` where it expects its client number 0, 1, ...; `variables` for
    Compose, with this durability.
    """

    url: Callable[[str, str], str]
    port: Callable[[int], int]
    variables: Callable[[Listeners, str], Mapping[str, str]] = lambda *_: {}

    def ports(self, clients: Iterable[str]) -> dict[str, int]:
        return {name: self.port(number) for number, name in enumerate(clients)}


def _kafka(told: Listeners, durability: str) -> Mapping[str, str]:
    """A client of Kafka is told by the broker where to connect: one that goes another way needs a listener of its own."""
    flush = {"WDM_KAFKA_FLUSH_EACH": "1"} if durability == "always" else {}
    if not told:
        return flush
    names = {client: client.upper().replace("-", "_") for client in told}
    return {
        **flush,
        "WDM_KAFKA_LISTENERS": ",".join(f"{name}://:{KAFKA_PORT + at}" for at, name in enumerate(names.values())),
        "WDM_KAFKA_ADVERTISED": ",".join(f"{names[client]}://{address}" for client, address in told.items()),
        "WDM_KAFKA_PROTOCOLS": ",".join(f"{name}:PLAINTEXT" for name in names.values()),
        "WDM_KAFKA_BETWEEN": next(iter(names.values())),
    }


KAFKA_PORT = 9092

BROKERS: Mapping[str, BrokerService] = {
    "streams": BrokerService(lambda at, password: f"redis://:{password}@{at}/0", lambda _: 6379),
    "rabbitmq": BrokerService(lambda at, password: f"amqp://{BROKER_USER}:{password}@{at}/", lambda _: 5672),
    "kafka": BrokerService(lambda at, _: f"kafka://{at}", lambda number: KAFKA_PORT + number, _kafka),
}
