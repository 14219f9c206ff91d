"""Every named point between two effects of a protocol, found by running its pure machines through the small cases."""

from functools import cache

from harness.explore.case import CASES
from harness.explore.search import Bounds, Search
from protocols.core import Config, Protocol
from protocols.registry import load

BOUNDS = (Bounds(crashes=0, hasty=1, states=400), Bounds(crashes=1, hasty=1, states=400))


def boundaries(protocol: Protocol, config: Config) -> tuple[str, ...]:
    """``service:before-effect`` and ``service:after-effect`` for each effect that any service of it can have, sorted."""
    return _boundaries(protocol.name, tuple(sorted(config.options.items())), tuple(sorted(config.ablated)))


@cache
def _boundaries(name: str, options: tuple[tuple[str, str], ...], ablated: tuple[str, ...]) -> tuple[str, ...]:
    protocol = load(name)
    config = protocol.configure(dict(options), ablated)
    after: set[str] = set()
    for case in CASES:
        for bounds in BOUNDS:
            search = Search(protocol, config, case, bounds)
            search.run()
            after.update(boundary for node in search.nodes.values() for boundary in node.boundaries())
    return tuple(sorted({*after, *(boundary.replace(":after-", ":before-", 1) for boundary in after)}))
