"""Where protocols are found: the entry-point group ``wdm.protocols``, ours and anybody's alike."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from protocols.core import Protocol
from protocols.errors import UsageError

GROUP = "wdm.protocols"


class UnknownProtocol(UsageError):
    """No installed package registers this name."""


@cache
def _found() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)}


def names() -> list[str]:
    """The names of all installed protocols, sorted."""
    return list(_found())


def load(name: str) -> Protocol:
    """The protocol registered as ``name``. Raises ``UnknownProtocol`` naming what there is."""
    found = _found()
    if name not in found:
        raise UnknownProtocol(f"unknown protocol {name!r}; installed: {', '.join(found) or 'none'}")
    protocol = found[name].load()
    if not isinstance(protocol, Protocol):
        raise UnknownProtocol(f"entry point {found[name].value!r} of {name!r} is not a protocols.core.Protocol")
    return protocol
