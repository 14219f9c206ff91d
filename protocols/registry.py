"""The registry of protocols: the entry-point group ``wdm.protocols``, for our protocols and those of other packages."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from protocols.core import Protocol
from protocols.errors import UsageError

GROUP = "wdm.protocols"


class UnknownProtocol(UsageError):
    """No installed package registers this name."""


@cache
def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)}


def names() -> list[str]:
    """Return the names of all installed protocols, sorted."""
    return list(_installed())


def load(name: str) -> Protocol:
    """Return the protocol registered as ``name``. Raises ``UnknownProtocol`` with the installed names."""
    installed = _installed()
    if name not in installed:
        raise UnknownProtocol(f"unknown protocol {name!r}; installed: {', '.join(installed) or 'none'}")
    protocol = installed[name].load()
    if not isinstance(protocol, Protocol):
        raise UnknownProtocol(f"entry point {installed[name].value!r} of {name!r} is not a protocols.core.Protocol")
    return protocol
