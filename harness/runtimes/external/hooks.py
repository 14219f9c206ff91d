"""A node that only shell commands reach: on another machine, in a virtual machine, in a cluster."""

from harness.errors import EnvironmentFailure
from harness.runtimes.base import Node, Order, State
from harness.runtimes.external.base import guess_kind
from harness.runtimes.external.command import ShellCommand


class HookNode:
    """A node with a command that kills it, one that starts it, or both. Its state is that of the last command.

    Without a command that starts it, it is taken to be started by its own supervisor as soon as it was killed.
    """

    def __init__(self, name: str, kill: ShellCommand | None, start: ShellCommand | None) -> None:
        self.name = name
        self._kill = kill
        self._start = start
        self._state: State = "running"
        self._takes: frozenset[Order] = frozenset({"kill"}) if kill else frozenset()

    def node(self) -> Node:
        return Node(self.name, guess_kind(self.name), self.name, None, "", self._state, self._takes)

    def refresh(self) -> None:
        """Look whether a node that its start command runs in the foreground has ended."""
        start = self._start
        if start is not None and self._state == "running" and start.child is not None and start.child.poll():
            self._state = "down"

    def kill(self) -> None:
        if self._kill is None:
            raise EnvironmentFailure(
                f"{self.name} cannot be killed: give the command with --kill-cmd {self.name}=COMMAND"
            )
        self._kill.run()
        if self._start is not None:
            self._state = "down"

    def pause(self) -> None:
        raise EnvironmentFailure(f"{self.name} cannot be paused: wdm has only commands for it")

    def resume(self) -> None:
        """Return: it is never paused."""

    def disconnect(self) -> None:
        raise EnvironmentFailure(f"{self.name} cannot be disconnected: wdm has only commands for it")

    def reconnect(self) -> None:
        """Return: it is never disconnected."""

    def start(self) -> None:
        if self._start is None or self._state == "running":
            return
        self._state = "starting"
        try:
            self._start.launch()
        except BaseException:
            self._state = "down"
            raise
        self._state = "running"

    def rescue(self) -> tuple[str, ...]:
        """Return nothing: a start command may have been run by hand meanwhile."""
        return ()

    def close(self) -> None:
        for command in (self._kill, self._start):
            if command is not None:
                command.leave()
