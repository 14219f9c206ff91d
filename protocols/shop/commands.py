"""The store commands of the shop itself, which every protocol has beside its own."""

from protocols.shop import ledger, payments

COMMANDS = {**ledger.COMMANDS, **payments.COMMANDS}
