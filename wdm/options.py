"""Options that several commands share. A `WDM_*` variable or `wdm.toml` sets each as well."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.errors import EnvironmentFailure
from harness.run.folder import DEFAULT as RUNS
from harness.runtimes.deployment.control import DeploymentView, view
from harness.runtimes.deployment.spec import MAX_WORKERS
from harness.runtimes.deployment.state import DEFAULT, StateFolder
from harness.runtimes.table import DEPLOYABLE
from protocols import registry
from protocols.claims import Option
from protocols.copies import COPIES
from protocols.errors import UsageError
from wdm import combined, config, ui
from wdm.parameters import CopiesOption, EnvironmentOption, Location, Text, Whole

F = TypeVar("F", bound=Callable[..., Any])


def option(name: str, *declared: str, **settings: Any) -> Callable[[F], F]:
    """Return a decorator for the click option `--some-name`, which the variable `WDM_SOME_NAME` sets as well."""
    variable = "WDM_" + name.lstrip("-").replace("-", "_").upper()
    if not settings.get("is_flag"):
        settings.setdefault("type", Text())
    return click.option(name, *declared, cls=EnvironmentOption, envvar=variable, show_envvar=True, **settings)


def common(command: F) -> F:
    """Add `--config` and `--quiet`, the options of every command."""
    for decorate in (
        click.option(
            "--quiet", "-q", cls=EnvironmentOption, is_flag=True, is_eager=True, expose_value=False, callback=_be_quiet,
            envvar="WDM_QUIET", help="Print results and errors only: no progress, no hints.",
        ),
        click.option(
            "--config", cls=EnvironmentOption, type=Location(), is_eager=True, expose_value=False, callback=_configure,
            envvar="WDM_CONFIG", metavar="FILE", help="File with defaults for the options.  [default: ./wdm.toml if it exists]",
        ),
    ):  # fmt: skip
        command = decorate(command)
    return command


def deployment(command: F) -> F:
    """Add the common options and `--state-dir`; the command receives `folder: StateFolder`."""
    decorate = option(
        "--state-dir",
        "folder",
        type=Location(),
        default=DEFAULT,
        show_default=True,
        metavar="DIR",
        help="State folder of the deployment: ports, data, logs.",
        callback=lambda _context, _parameter, value: StateFolder(value),
    )
    return common(decorate(command))


def nodes(command: F) -> F:
    """Add `--runtime`, `--workers` and `--durability`, the kind and the number of the nodes of a deployment."""
    for decorate in (
        option(
            "--durability", type=click.Choice(["everysec", "always"]), default="everysec", show_default=True,
            help="Moment of a store's forced writes: once a second, or before each answer.",
        ),
        option(
            "--copies", type=CopiesOption(), default="1", show_default=True,
            help=f"Servers of each store: 1, or {COPIES}, of which any one may die; or {COPIES} under Valkey's own Sentinel or "
            "Cluster, a best effort (local runtime).",
        ),
        option(
            "--workers", type=Whole(1, MAX_WORKERS), default=1, show_default=True,
            help="Number of instances of each service.",
        ),
        option(
            "--runtime", type=click.Choice(DEPLOYABLE), default="local", show_default=True,
            help="Runtime of the nodes: local processes or containers.",
        ),
    ):  # fmt: skip
        command = decorate(command)
    return command


def runs_folder(purpose: str) -> Callable[[F], F]:
    """Add `--runs-dir`, the folder of the run folders, with `purpose` as its help."""
    return option("--runs-dir", type=Location(), default=RUNS, show_default=True, metavar="DIR", help=purpose)


def as_json(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document to stdout.")(command)


def pairs(name: str, given: Iterable[str]) -> dict[str, str]:
    """Parse the values of a repeated option `--name KEY=VALUE`. Raises `UsageError` naming the value that is no pair."""
    parsed: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals or not value:
            raise UsageError(f"--{name} takes NAME=VALUE, not {text!r}")
        if parsed.get(key, value) != value:
            raise UsageError(f"--{name} sets {key} twice, {parsed[key]!r} and {value!r}: which is it?")
        parsed[key] = value
    return parsed


def of_the_protocols(command: F) -> F:
    """Add every option of every installed protocol, and `--option NAME=VALUE`; `chosen` reads them."""
    command = option("--option", multiple=True, metavar="NAME=VALUE", help="Protocol option by name; may be repeated.")(
        command
    )
    for declared in _protocol_options():
        summary = declared.summary[:1].upper() + declared.summary[1:]
        text = f"{summary} ({', '.join(declared.choices)}).  [default: {declared.defaults}]"
        command = option(f"--{declared.name}", default=None, help=text)(command)
    return command


def chosen(given: dict[str, Any]) -> dict[str, str]:
    """Remove the protocol's options from the parameters `given` to a command, and return them."""
    spelt = {declared.name: given.pop(declared.name.replace("-", "_")) for declared in _protocol_options()}
    options = {name: value for name, value in spelt.items() if value is not None}
    also = pairs("option", given.pop("option"))
    for name, value in also.items():
        if options.get(name, value) != value and combined.typed(name.replace("-", "_")):
            raise UsageError(f"--{name} {options[name]} and --option {name}={value}: which is it?")
    return {**options, **also}


def _protocol_options() -> Iterator[Option]:
    """Yield every option of every installed protocol, once."""
    seen: set[str] = set()
    for name in registry.names():
        for declared in _options_of(name):
            if declared.name not in seen:
                seen.add(declared.name)
                yield declared


def _options_of(name: str) -> Iterable[Option]:
    try:
        return registry.load(name).options
    except Exception:  # noqa: BLE001  a plug-in that cannot be loaded must not cost the others their options
        return ()


def running(folder: StateFolder) -> DeploymentView:
    """Return the deployment in this folder. Raises `EnvironmentFailure` if there is none."""
    current = view(folder)
    if current is None:
        raise EnvironmentFailure(f"nothing is up in {folder.path}; start a shop with `wdm up`, or name its --state-dir")
    return current


def hint(folder: StateFolder) -> str:
    """Return the `--state-dir` option that a next command needs; the empty text for the default folder."""
    default = Path(DEFAULT).absolute()
    return "" if folder.path == default else f" --state-dir {folder.path}"


def _be_quiet(_context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    ui.Output.quiet = ui.Output.quiet or value


def _configure(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    """Read the defaults of the other options from the file, before click reads these options."""
    file = config.find(value)
    root = context.find_root().command
    if file is None or not isinstance(root, click.Group):
        return
    commands = {name: root.get_command(context, name) for name in root.list_commands(context)}
    settings = config.ConfigFile(file, {name: command for name, command in commands.items() if command is not None})
    context.default_map = settings.defaults(_top_level(context))


def _top_level(context: click.Context) -> str:
    """Return the name of the command; of a subcommand, the name of its group."""
    while context.parent is not None and context.parent.parent is not None:
        context = context.parent
    return str(context.command.name)
