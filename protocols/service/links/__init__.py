"""Transports: how messages get from one service process to another. One file each, one row in ``TRANSPORTS``.

Each is a ``Link``; any protocol can use any of them. All deliver at least once at best: a message may be lost with a process,
doubled, delayed and overtaken, and every protocol here expects that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from protocols.errors import UsageError

if TYPE_CHECKING:  # the command line lists the transports; it needs no more than their names
    from protocols.service.codec import Codec
    from protocols.service.links.dead_letter_log import DeadLetterLog
    from protocols.service.settings import Settings

Rejected = tuple[Any, str]
"""A message that can never be carried out, and why."""


class Handled(Protocol):
    """Called when the effects of all messages of a batch have been carried out, but for those that were rejected."""

    def __call__(self, rejected: Sequence[Rejected] = (), /) -> None: ...


def ignore_rejected(_: Sequence[Rejected] = (), /) -> None:
    """A ``Handled`` of somebody whom it does not matter to."""


Receive = Callable[[str, Sequence[Any], Handled], None]
"""Takes messages from a sender in, and says in the end what became of them."""


UNREADABLE_PREFIX = b"\xc1 injected poison "
"""How a message begins that was made so that nobody can read it: no packed value begins with this byte."""

MOST_DEAD_LETTERS = 1_000
"""So many dead letters a broker keeps, the newest."""

MOST_DEAD_LETTER_BYTES = 64 * 2**20
"""No more than this of them, where the broker can tell."""

LIMIT_BYTES = 900_000
"""A batch of several messages is no larger: Kafka takes 1 MiB at most, the other transports take more."""


@dataclass(slots=True)
class Counts:
    """Since the start of the process. ``batches`` carried ``messages``.

    ``dead_lettered`` could not be read, carried out or sent (too large), and are out of the way.
    """

    messages: int = 0
    batches: int = 0
    lost: int = 0
    received: int = 0
    dead_lettered: int = 0


class Link(Protocol):
    """A ``protocols.ports.Link`` with a life. ``waiting``: messages that have not left yet; ``up``: they can.

    ``trouble`` says why they cannot. ``dead``: those that arrived in vain.
    """

    counts: Counts
    dead: "DeadLetterLog"

    @property
    def up(self) -> bool: ...

    @property
    def trouble(self) -> str: ...

    @property
    def waiting(self) -> int: ...

    async def start(self, receive: Receive) -> None: ...

    async def stop(self) -> None: ...

    def send(self, to: str, message: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Transport:
    """``broker`` is the kind of broker it goes through, empty if services talk to each other. ``library`` is imported only
    where it is used; ``package`` installs it. ``simulated``: the simulator has it.
    """

    name: str
    summary: str
    broker: str = ""
    library: str = ""
    package: str = ""
    simulated: bool = False

    def missing(self) -> str:
        """What has to be installed first, in words; empty if nothing has."""
        if self.library and find_spec(self.library) is None:
            return f"transport {self.name!r} needs the package {self.library}: pip install '{self.package}'"
        return ""

    def link(self, settings: "Settings", codec: "Codec") -> Link:
        """Raises ``UsageError`` saying what to install."""
        why = self.missing()
        if why:
            raise UsageError(why)
        made: Link = self._module().link(settings, codec)
        return made

    async def dead_letters(self, broker_url: str) -> Sequence[bytes]:
        """The messages that the broker keeps aside because somebody could not read or do them. Raises ``BrokerLost``."""
        found: Sequence[bytes] = await self._module().dead_letters(broker_url)
        return found

    async def inject_poison(self, broker_url: str, service: str, name: str) -> None:
        """Send a service a message that nobody can read. Raises ``BrokerLost``."""
        await self.publish(broker_url, service, UNREADABLE_PREFIX + name.encode())

    async def publish(self, broker_url: str, service: str, *bodies: bytes) -> None:
        """Send a service any bytes, over one connection. Raises ``BrokerLost``."""
        await self._module().publish(broker_url, service, *bodies)

    def _module(self) -> Any:
        return import_module(f"protocols.service.links.{self.name}")


_ALL = (
    Transport(
        "http",
        "batched POSTs from process to process; what is under way when one dies is lost, and asked for again",
        simulated=True,
    ),
    Transport(
        "streams",
        "Valkey streams: survives the receiver's death; claimed by another instance",
        "streams",
        simulated=True,  # as any broker that delivers until a message is handled
    ),
    Transport(
        "rabbitmq",
        "RabbitMQ: quorum queues, publisher confirms, acknowledged after the effect",
        "rabbitmq",
        "aio_pika",
        "wdm[rabbitmq]",
    ),
    Transport(
        "kafka",
        "Kafka: idempotent producer, a transaction keeps its partition, committed after the effect",
        "kafka",
        "aiokafka",
        "wdm[kafka]",
    ),
)
TRANSPORTS: Mapping[str, Transport] = {transport.name: transport for transport in _ALL}


def transport(name: str) -> Transport:
    """Raises ``UsageError`` naming the transports there are."""
    if name not in TRANSPORTS:
        raise UsageError(f"no transport {name!r}; there are: {', '.join(TRANSPORTS)}")
    return TRANSPORTS[name]
