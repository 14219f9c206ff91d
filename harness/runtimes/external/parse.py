"""The nodes of a shop from the options of the command line."""

import os
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.process import Identity
from harness.runtimes.external import process_tree
from harness.runtimes.external.base import ForeignNode
from harness.runtimes.external.command import ShellCommand
from harness.runtimes.external.compose import ContainerNode, compose_nodes
from harness.runtimes.external.hooks import HookNode
from harness.runtimes.external.process import NodeProcesses, PidFileSource, PidSource, ProcessNode, Source
from protocols.errors import UsageError


def nodes_from(
    pids: Sequence[str],
    pidfiles: Sequence[str],
    start_cmds: Sequence[str],
    kill_cmds: Sequence[str],
    compose: Sequence[str],
    logs: Path,
    begun: list[Identity] | None = None,
    folder: Path | None = None,
) -> list[ForeignNode]:
    """Return the nodes that the values of the options name: `NAME=...`, and for `compose` a file or a project.

    The commands run in `folder`, their output goes to `NAME.log` in the folder `logs`; `begun` receives the process of each.
    Raises `UsageError` naming the wrong value, and `EnvironmentFailure` for a Compose project that cannot be found.
    """
    sources: dict[str, Source] = {}
    for name, pid in _named("--pid", pids, "PID").items():
        sources[name] = PidSource(_pid(name, pid))
    for name, path in _named("--pidfile", pidfiles, "PATH").items():
        _once(name, "--pidfile", "--pid", sources)
        sources[name] = PidFileSource(Path(path).absolute())
    begun = [] if begun is None else begun
    starts = _commands("--start-cmd", start_cmds, logs, begun, folder)
    kills = _commands("--kill-cmd", kill_cmds, logs, begun, folder)
    for name in kills:
        _once(name, "--kill-cmd", "--pid or --pidfile", sources)
    unknown = [name for name in starts if name not in sources and name not in kills]
    if unknown:
        raise UsageError(
            f"--start-cmd {unknown[0]}=...: no node has this name; name how it is killed as well, with --pid"
            f" {unknown[0]}=PID, --pidfile {unknown[0]}=PATH or --kill-cmd {unknown[0]}=COMMAND"
        )
    processes = _processes(sources, starts)
    hooks = [HookNode(name, kill, starts.get(name)) for name, kill in kills.items()]
    return [*processes, *hooks, *_containers(compose, {**sources, **kills})]


# ---------------------------------------------------------------- inside


def _named(option: str, values: Sequence[str], what: str) -> Mapping[str, str]:
    """Return the values of an option by the names before their equals signs."""
    named: dict[str, str] = {}
    for value in values:
        name, equals, rest = (part.strip() for part in value.partition("="))
        if not equals or not name or not rest:
            raise UsageError(
                f"{option} {value!r} is not of the form NAME={what}, as in {option} order={_EXAMPLES[what]}"
            )
        if name in named:
            raise UsageError(f"{option} {value!r}: the name {name!r} is given twice; give each node a name of its own")
        named[name] = rest
    return named


_EXAMPLES = {"PID": "4711", "PATH": "/run/order.pid", "COMMAND": "'systemctl restart order'"}


def _once(name: str, option: str, other: str, taken: Container[str]) -> None:
    if name in taken:
        raise UsageError(
            f"{option}: the node {name!r} is named by {other} already; choose one of them, or another name"
        )


def _commands(
    option: str, values: Sequence[str], logs: Path, begun: list[Identity], folder: Path | None
) -> Mapping[str, ShellCommand]:
    return {
        name: ShellCommand(f"{option} {name}", text, logs / f"{name.replace('/', '-')}.log", begun, folder)
        for name, text in _named(option, values, "COMMAND").items()
    }


def _pid(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UsageError(f"--pid {name}={text} is not a number of a process; `ps ax` and `pgrep -af WORD` list them")
    return int(text)


def _processes(sources: Mapping[str, Source], starts: Mapping[str, ShellCommand]) -> list[ProcessNode]:
    """Return the nodes of these processes, each with processes of its own. Raises `UsageError`."""
    if sources and sys.platform != "linux":
        raise UsageError("--pid and --pidfile need the /proc of Linux; on this system use --kill-cmd and --start-cmd")
    processes, nodes = NodeProcesses(), []  # type: ignore[unreachable,unused-ignore]
    trees: dict[str, set[int]] = {}
    for name, source in sources.items():
        identity = source.first()
        if identity is None:
            raise UsageError(f"{name}: {source.what} does not run (or the file has no pid); start the whole shop first")
        try:
            trees[name] = {member.pid for member in process_tree.members(identity)}
            os.kill(identity.pid, 0)
        except PermissionError:
            raise UsageError(
                f"{name}: {source.what} belongs to another user and may not be signalled; run wdm as that user, or name a"
                f" command that kills it with --kill-cmd {name}=COMMAND"
            ) from None
        except ProcessLookupError:
            raise UsageError(f"{name}: {source.what} has ended just now; start the whole shop first") from None
        except EnvironmentFailure as failure:
            raise UsageError(f"{name}: {failure}; give the pid of the node itself") from None
        nodes.append(ProcessNode(name, source, starts.get(name), processes))
    for one, other in combinations(trees, 2):
        if shared := trees[one] & trees[other]:
            raise UsageError(
                f"process {min(shared)} belongs to {one!r} and to {other!r}: one is below the other, or leads its process"
                " group, and a fault of one would hit both; start each with `setsid`, or give only one of them"
            )
    return nodes


def _containers(compose: Sequence[str], taken: Iterable[str]) -> list[ContainerNode]:
    nodes: list[ContainerNode] = []
    try:
        for value in compose:
            nodes += compose_nodes(value)
        names = [node.name for node in nodes]
        for name in names:
            _once(name, "--compose", "another option", {*taken, *(name for name in names if names.count(name) > 1)})
    except BaseException:
        for node in nodes:
            node.close()
        raise
    return nodes
