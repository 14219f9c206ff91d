"""Brokers as containers of `docker-compose.yml`: one row a kind in `BROKERS`, the name of its service and of its profile."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes

from harness.runtimes.deployment.plan import BROKER_USER

Listeners = Mapping[str, str]
"""The address that the broker advertises to each client, by the client's name; empty if one address is for all."""


@dataclass(frozen=True, slots=True)
class BrokerService:
    """A kind of broker. `url`: its URL, from an address and a password. `port`: its port for the client with this number,
    from 0. `variables`: for Compose, from the advertised addresses, the durability and the password.
    """

    url: Callable[[str, str], str]
    port: Callable[[int], int]
    variables: Callable[[Listeners, str, str], Mapping[str, str]] = lambda *_: {}

    def ports(self, clients: Iterable[str]) -> dict[str, int]:
        """Return the broker's port for each client, by the client's name."""
        return {name: self.port(number) for number, name in enumerate(clients)}


def _rabbitmq(_listeners: Listeners, _durability: str, password: str) -> Mapping[str, str]:
    """Return the variable with the definitions that RabbitMQ imports at each start.

    It keeps the password of a user with its data. An import replaces it; the default user of the configuration is of its first
    start alone.
    """
    salt = token_bytes(4)
    user = {
        "name": BROKER_USER,
        # https://www.rabbitmq.com/docs/passwords#computing-password-hash
        "password_hash": b64encode(salt + sha256(salt + password.encode()).digest()).decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": "administrator",
    }
    rights = {"user": BROKER_USER, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    document = {"users": [user], "vhosts": [{"name": "/"}], "permissions": [rights]}
    return {"WDM_RABBITMQ_DEFINITIONS": json.dumps(document, separators=(",", ":"))}


def _kafka(listeners: Listeners, durability: str, _password: str) -> Mapping[str, str]:
    """Return the variables of Kafka. It advertises its own addresses: a client behind a proxy needs a listener of its own."""
    flush = {"WDM_KAFKA_FLUSH_EACH": "1"} if durability == "always" else {}
    if not listeners:
        return flush
    names = {client: client.upper().replace("-", "_") for client in listeners}
    return {
        **flush,
        "WDM_KAFKA_LISTENERS": ",".join(f"{name}://:{KAFKA_PORT + at}" for at, name in enumerate(names.values())),
        "WDM_KAFKA_ADVERTISED": ",".join(f"{names[client]}://{address}" for client, address in listeners.items()),
        "WDM_KAFKA_PROTOCOLS": ",".join(f"{name}:PLAINTEXT" for name in names.values()),
        "WDM_KAFKA_BETWEEN": next(iter(names.values())),
    }


KAFKA_PORT = 9092

BROKERS: Mapping[str, BrokerService] = {
    "streams": BrokerService(lambda at, password: f"redis://:{password}@{at}/0", lambda _: 6379),
    "rabbitmq": BrokerService(lambda at, password: f"amqp://{BROKER_USER}:{password}@{at}/", lambda _: 5672, _rabbitmq),
    "kafka": BrokerService(lambda at, _: f"kafka://{at}", lambda number: KAFKA_PORT + number, _kafka),
}
