"""The store commands of the shop itself, which every protocol has beside its own."""

from protocols.shop import ledger, ledger_orders, payments

COMMANDS = {**ledger.COMMANDS, **ledger_orders.COMMANDS, **payments.COMMANDS}
