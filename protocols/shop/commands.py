"""The store commands of the shop itself, which every protocol has beside its own."""

from protocols.shop import keyed

COMMANDS = {**keyed.CHANGES, **keyed.COMMANDS}
