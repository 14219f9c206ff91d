"""The store of a protocol in memory: its commands as pure functions over tables, for the simulator and the search."""

from collections.abc import Callable
from typing import Any

from protocols.core import Command, Config, Protocol
from protocols.store import epochs, lives
from protocols.store.tables import Result, Tables


class Twin:
    """The tables of one store, and the commands that change them."""

    def __init__(self, protocol: Protocol, config: Config) -> None:
        self.tables: Tables = {}
        self._commands: dict[str, Callable[..., Result]] = {**lives.COMMANDS, **epochs.COMMANDS, **protocol.commands}
        self._config = config

    def run(self, command: Command, now: int) -> tuple[Any, ...]:
        """Execute a command on ``tables``; return its result."""
        return self._commands[command.name](self.tables, self._config, now, *command.args)
