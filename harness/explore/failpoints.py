"""The failpoints of a protocol, named points between two effects, from a search of the small cases."""

from functools import cache

from harness.explore.breadth import Bounds, BreadthFirst, TimeBudget
from harness.explore.case import CASES
from harness.explore.moves import ALL
from harness.explore.space import Space
from protocols.core import Config, Protocol
from protocols.registry import load

BOUNDS = Bounds(crashes=1, states=500)
"""A breadth-first search meets every effect early: 2,000 states add no failpoint to any protocol."""


def failpoints(protocol: Protocol, config: Config) -> tuple[str, ...]:
    """Return ``service:before-effect`` and ``service:after-effect`` of each effect that a service of it can have,
    sorted.
    """
    return _failpoints(protocol.name, tuple(sorted(config.options.items())), tuple(sorted(config.ablated)))


@cache
def _failpoints(name: str, options: tuple[tuple[str, str], ...], ablated: tuple[str, ...]) -> tuple[str, ...]:
    protocol = load(name)
    config = protocol.configure(dict(options), ablated)
    after: set[str] = set()
    for case in CASES:
        space = Space(protocol, config, case)
        BreadthFirst(space, ALL, BOUNDS, TimeBudget(BOUNDS.seconds)).find(lambda _node_states: False)
        after |= space.failpoints()
    return tuple(sorted({*after, *(failpoint.replace(":after-", ":before-", 1) for failpoint in after)}))
