"""`wdm.toml`: defaults for the options of the commands, below flags and `WDM_*` variables.

A key is an option's long name, at the top for every command that has it, or in a table named after one command:

    protocol = "2pc"
    state-dir = ".wdm"

    [up]
    workers = 2

An unknown key or a value of another type is an error with file, line and key, since a misspelt setting without effect is
worse than none.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from harness.toml_file import TomlFile, did_you_mean
from protocols.copies.replication import NAMES
from protocols.errors import UsageError
from wdm.parameters import CopiesOption

FILE = "wdm.toml"
Defaults = dict[str, Any]


class ConfigFile:
    """A checked `wdm.toml`. `commands` are all commands by name; a group stands for its subcommands."""

    def __init__(self, file: Path, commands: Mapping[str, click.Command]) -> None:
        self._file = TomlFile(file, "configuration file")
        self._options = {name: dict(_options(command)) for name, command in commands.items()}
        everywhere = {key: option for options in self._options.values() for key, option in options.items()}
        document = self._file.document
        tables = {name: table for name, table in document.items() if isinstance(table, dict)}
        self._flat = self._checked({key: document[key] for key in document.keys() - tables.keys()}, everywhere)
        self._tables = {name: self._table(name, table) for name, table in tables.items()}

    def defaults(self, command: str) -> Defaults:
        """Return the defaults of one command by parameter name. The table of the command has precedence."""
        options = self._options[command]
        values = {**self._flat, **self._tables.get(command, {})}
        return {str(options[key].name): value for key, value in values.items() if key in options}

    # ------------------------------------------------------------ inside

    def _table(self, command: str, table: Mapping[str, Any]) -> Defaults:
        if command not in self._options:
            raise self._file.error_at(f"no command {command!r}{did_you_mean(command, self._options)}", command)
        return self._checked(table, self._options[command], command)

    def _checked(self, values: Mapping[str, Any], options: Mapping[str, click.Option], table: str = "") -> Defaults:
        for key, value in values.items():
            option = options.get(_spelt(key))
            if option is None:
                where = f"`wdm {table}` has no option" if table else "no command has an option"
                text = f"unknown key {key!r}: {where} --{key}{did_you_mean(key, options)}"
                raise self._wrong(text, table, key)
            try:
                _check(option, value)
            except click.BadParameter as error:
                raise self._wrong(f"{key} = {value!r}: {error.message}", table, key) from None
        return {_spelt(key): value for key, value in values.items()}

    def _wrong(self, message: str, table: str, key: str) -> UsageError:
        return self._file.error_at(message, *(name for name in (table, key) if name))


def find(given: Path | None) -> Path | None:
    """Return the file that the user named, else `wdm.toml` of the current folder if it exists."""
    if given is not None:
        return given
    return Path(FILE) if Path(FILE).is_file() else None


def _options(command: click.Command) -> Iterator[tuple[str, click.Option]]:
    """Yield the options of a command by long name, without dashes."""
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            yield from _options(subcommand)
    for option in command.params:
        # --config cannot choose itself, and --json belongs to a single call
        if isinstance(option, click.Option) and option.name not in ("config", "as_json"):
            yield max(option.opts, key=len).lstrip("-"), option


def _spelt(key: str) -> str:
    return key.replace("_", "-")


def _check(option: click.Option, value: Any) -> None:
    """Raise `click.BadParameter` if the value is not of the option's type."""
    if option.multiple:
        if not isinstance(value, list):
            raise click.BadParameter("must be a list")
        for item in value:
            _check_one(option, item)
    else:
        _check_one(option, value)


def _check_one(option: click.Option, value: Any) -> None:
    wanted, words = _wanted(option)
    # True is an int to Python, and to nobody else.
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise click.BadParameter(f"must be {words}")
    option.type.convert(value, option, None)


def _wanted(option: click.Option) -> tuple[tuple[type, ...], str]:
    if option.is_flag:
        return (bool,), "true or false"
    if isinstance(option.type, click.IntRange | click.types.IntParamType):
        return (int,), "a whole number"
    if isinstance(option.type, click.FloatRange | click.types.FloatParamType):
        return (int, float), "a number"
    if isinstance(option.type, CopiesOption):
        return (int, str), f"one of: {NAMES}"
    return (str,), "a text in quotes"
