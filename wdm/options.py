"""Options that several commands share, each also settable by a ``WDM_*`` variable and by ``wdm.toml``."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.errors import EnvironmentFailure
from harness.run.folder import DEFAULT as RUNS
from harness.runtimes.local.control import View, view
from harness.runtimes.local.state import DEFAULT, StateFolder
from protocols import registry
from protocols.claims import Option
from protocols.errors import UsageError
from wdm import combined, config, ui
from wdm.parameters import Location, Setting, Text

F = TypeVar("F", bound=Callable[..., Any])


def option(name: str, *declared: str, **settings: Any) -> Callable[[F], F]:
    """A click option ``--some-name`` that ``WDM_SOME_NAME`` sets as well."""
    variable = "WDM_" + name.lstrip("-").replace("-", "_").upper()
    if not settings.get("is_flag"):
        settings.setdefault("type", Text())
    return click.option(name, *declared, cls=Setting, envvar=variable, show_envvar=True, **settings)


def common(command: F) -> F:
    """``--config`` and ``--quiet``: what every command takes."""
    for decorate in (
        click.option(
            "--quiet", "-q", cls=Setting, is_flag=True, is_eager=True, expose_value=False, callback=_be_quiet, envvar="WDM_QUIET",
            help="No progress and no hints, results and errors only.",
        ),
        click.option(
            "--config", cls=Setting, type=Location(), is_eager=True, expose_value=False, callback=_configure,
            envvar="WDM_CONFIG", metavar="FILE", help="Defaults of the options.  [default: ./wdm.toml if there is one]",
        ),
    ):  # fmt: skip
        command = decorate(command)
    return command


def deployment(command: F) -> F:
    """``common``, and ``--state-dir``: for a command that touches a deployment. It hears ``folder: StateFolder``."""
    decorate = option(
        "--state-dir",
        "folder",
        type=Location(),
        default=DEFAULT,
        show_default=True,
        metavar="DIR",
        help="Where the deployment keeps its ports, data and logs.",
        callback=lambda _context, _parameter, value: StateFolder(value),
    )
    return common(decorate(command))


def runs_folder(purpose: str) -> Callable[[F], F]:
    """``--runs-dir``, for a command that keeps runs or reads them."""
    return option("--runs-dir", type=Location(), default=RUNS, show_default=True, metavar="DIR", help=purpose)


def as_json(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(command)


def pairs(name: str, given: Iterable[str]) -> dict[str, str]:
    """What an option ``--name KEY=VALUE`` was given, each time. Raises ``UsageError`` naming what is no pair."""
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals or not value:
            raise UsageError(f"--{name} takes NAME=VALUE, not {text!r}")
        if found.get(key, value) != value:
            raise UsageError(f"--{name} says {key} twice, {found[key]!r} and {value!r}: which is it?")
        found[key] = value
    return found


def of_the_protocols(command: F) -> F:
    """Every option of every installed protocol by its own name, and ``--option NAME=VALUE``: ``chosen`` reads them."""
    command = option(
        "--option", multiple=True, metavar="NAME=VALUE", help="An option of the protocol; may be repeated."
    )(command)
    for one in _protocol_options():
        text = f"{one.summary[:1].upper()}{one.summary[1:]}: {', '.join(one.choices)}.  [default: {one.defaults}]"
        command = option(f"--{one.name}", default=None, help=text)(command)
    return command


def chosen(given: dict[str, Any]) -> dict[str, str]:
    """The protocol's options among what a command was given, which are taken out of it."""
    spelt = {one.name: given.pop(one.name.replace("-", "_")) for one in _protocol_options()}
    options = {name: value for name, value in spelt.items() if value is not None}
    also = pairs("option", given.pop("option"))
    for name, value in also.items():
        if options.get(name, value) != value and combined.typed(name.replace("-", "_")):
            raise UsageError(f"--{name} {options[name]} and --option {name}={value}: which is it?")
    return {**options, **also}


def _protocol_options() -> Iterator[Option]:
    """Every option of every installed protocol, once."""
    seen: set[str] = set()
    for name in registry.names():
        for one in _options_of(name):
            if one.name not in seen:
                seen.add(one.name)
                yield one


def _options_of(name: str) -> Iterable[Option]:
    try:
        return registry.load(name).options
    except Exception:  # noqa: BLE001  a plug-in that cannot be loaded must not take the others' options with it
        return ()


def running(folder: StateFolder) -> View:
    """The deployment in this folder. Raises ``EnvironmentFailure`` if there is none."""
    found = view(folder)
    if found is None:
        raise EnvironmentFailure(f"nothing is up in {folder.path}; start a shop with `wdm up`, or name its --state-dir")
    return found


def hint(folder: StateFolder) -> str:
    """``--state-dir`` as the next command needs it: nothing for the default."""
    default = Path(DEFAULT).absolute()
    return "" if folder.path == default else f" --state-dir {folder.path}"


def _be_quiet(_context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    ui.Voice.quiet = ui.Voice.quiet or value


def _configure(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    """Runs before the other options are read, so that the file can supply their defaults."""
    file = config.find(value)
    root = context.find_root().command
    if file is None or not isinstance(root, click.Group):
        return
    commands = {name: root.get_command(context, name) for name in root.list_commands(context)}
    settings = config.Settings(file, {name: command for name, command in commands.items() if command is not None})
    context.default_map = settings.defaults(_top_level(context))


def _top_level(context: click.Context) -> str:
    """The command's name; of a subcommand, its group's."""
    while context.parent is not None and context.parent.parent is not None:
        context = context.parent
    return str(context.command.name)
