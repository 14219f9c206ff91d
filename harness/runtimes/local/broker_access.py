"""The broker of a local deployment as the harness uses it: to inject poison, and to read the dead letters."""

from collections.abc import Awaitable, Sequence
from typing import TypeVar

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.spec import Spec
from protocols.registry import load
from protocols.service.links import poison, transport
from protocols.service.links.broker import BrokerLost

T = TypeVar("T")


async def inject_poison(spec: Spec, url: str, service: str, name: str) -> Sequence[str]:
    """Send `service` messages that it cannot handle; return their names. Raises `EnvironmentFailure`."""
    protocol = load(spec.protocol)
    config = protocol.configure(spec.options, spec.ablate)
    made = poison.messages(protocol, config, service, name)
    await _reached(transport(spec.transport).publish(url, service, *made.values()))
    return tuple(made)


async def dead_letters(spec: Spec, url: str) -> Sequence[bytes]:
    """Return the bodies of the dead letters. Raises `EnvironmentFailure`."""
    return await _reached(transport(spec.transport).dead_letters(url))


async def _reached(request: Awaitable[T]) -> T:
    try:
        return await request
    except BrokerLost as lost:
        raise EnvironmentFailure(f"the broker does not answer: {lost}") from lost
