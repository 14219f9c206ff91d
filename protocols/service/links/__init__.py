"""Transports: the ways of messages from one service process to another. One file each, one row in `TRANSPORTS`.

Any protocol can use any of them. All deliver at least once at best: a message may be lost with a process, doubled, delayed and
overtaken, and every protocol here expects that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from protocols.errors import UsageError

if TYPE_CHECKING:  # the command line lists the transports; it needs no more than their names
    from protocols.service.codec import Codec
    from protocols.service.links.transport_link import TransportLink
    from protocols.service.settings import Settings

Rejected = tuple[Any, str]
"""A message that can never be carried out, and the reason."""


class Handled(Protocol):
    """Called once the effects of all messages of a batch have been carried out, except those of rejected messages."""

    def __call__(self, rejected: Sequence[Rejected] = (), /) -> None: ...


def ignore_rejected(_: Sequence[Rejected] = (), /) -> None:
    """Do nothing: the `Handled` of a caller without interest in the end of its messages."""


Receive = Callable[[str, Sequence[Any], Handled], None]
"""Handles messages of a sender, and calls `Handled` in the end."""


UNREADABLE_PREFIX = b"\xc1 injected poison "
"""The beginning of a message that is unreadable on purpose: no packed value begins with this byte."""

MOST_DEAD_LETTERS = 1_000
"""The number of dead letters that a broker keeps, the newest ones."""

MOST_DEAD_LETTER_BYTES = 64 * 2**20
"""Their size in bytes, for brokers that can limit it."""

LIMIT_BYTES = 900_000
"""The size of a batch of several messages: Kafka takes 1 MiB at most, the other transports take more."""


@dataclass(slots=True)
class MessageCounts:
    """Counts since the start of the process. `batches` carried `messages`.

    `dead_lettered` messages were unreadable, were refused by the store, or are too large to send.
    """

    messages: int = 0
    batches: int = 0
    lost: int = 0
    received: int = 0
    dead_lettered: int = 0


@dataclass(frozen=True, slots=True)
class Transport:
    """A row of the table. The module `links/NAME.py` has the functions `link`, `dead_letters` and `publish`.

    `broker` is the kind of broker, empty for none; `clustered`: it may have several nodes. `library` is imported only where
    the transport is used, and `package` installs it. `simulated`: the simulator has this transport.
    """

    name: str
    summary: str
    broker: str = ""
    library: str = ""
    package: str = ""
    simulated: bool = False
    clustered: bool = False

    def missing(self) -> str:
        """Return the error for a missing library, with the command that installs it; empty if it is there."""
        if self.library and find_spec(self.library) is None:
            return f"transport {self.name!r} needs the package {self.library}: pip install '{self.package}'"
        return ""

    def link(self, settings: "Settings", codec: "Codec") -> "TransportLink":
        """Make the link of a process. Raises `UsageError` with the package to install, or the setting that is wrong."""
        why = self.missing()
        if why:
            raise UsageError(why)
        link: TransportLink = self._module().link(settings, codec)
        return link

    async def dead_letters(self, broker_url: str) -> Sequence[bytes]:
        """Read the dead letters that the broker keeps; they stay there. Raises `BrokerLost`."""
        bodies: Sequence[bytes] = await self._module().dead_letters(broker_url)
        return bodies

    async def inject_poison(self, broker_url: str, service: str, name: str) -> None:
        """Send an unreadable message to a service. Raises `BrokerLost`."""
        await self.publish(broker_url, service, UNREADABLE_PREFIX + name.encode())

    async def publish(self, broker_url: str, service: str, *bodies: bytes) -> None:
        """Send any bytes to a service, over one connection. Raises `BrokerLost`."""
        await self._module().publish(broker_url, service, *bodies)

    def _module(self) -> Any:
        return import_module(f"protocols.service.links.{self.name}")


_ALL = (
    Transport(
        "http",
        "batched POSTs between processes; a message is lost with its process and sent again by the protocol",
        simulated=True,
    ),
    Transport(
        "tcp",
        "frames over one connection to each process; a message is lost with it and sent again by the protocol",
        simulated=True,  # as http, which promises less: its messages may overtake each other
    ),
    Transport(
        "streams",
        "Valkey streams: messages survive the receiver's death, and another instance claims them",
        "streams",
        simulated=True,  # as any broker that delivers until a message is handled
    ),
    Transport(
        "rabbitmq",
        "RabbitMQ: quorum queues, publisher confirms, acknowledged after the effect",
        "rabbitmq",
        "aio_pika",
        "wdm[rabbitmq]",
        clustered=True,
    ),
    Transport(
        "kafka",
        "Kafka: idempotent producer, a transaction keeps its partition, committed after the effect",
        "kafka",
        "aiokafka",
        "wdm[kafka]",
        clustered=True,
    ),
)
TRANSPORTS: Mapping[str, Transport] = {transport.name: transport for transport in _ALL}


def transport(name: str) -> Transport:
    """Return the transport of this name. Raises `UsageError` that lists the transports."""
    if name not in TRANSPORTS:
        raise UsageError(f"no transport {name!r}; there are: {', '.join(TRANSPORTS)}")
    return TRANSPORTS[name]
