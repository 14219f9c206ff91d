"""The types of all parameters: an invalid number, name or path is an error that names it, before any work begins.

click alone accepts `nan` and `inf` in a range, since every comparison with `nan` is false, and accepts an empty text; then a
run never ends, or a command fills the current folder. Every parameter of every command has one of these types, is a choice or
is a flag; a test checks it. `wdm.toml` and the `WDM_*` variables have the same types.
"""

import math
import os
import re
from pathlib import Path
from typing import Any

import click

from protocols.copies.replication import CHOICES, NAMES, parse

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"[-+]?[0-9]{1,30}")

MOST_SEED = 2**63 - 1
"""The largest seed that every file format with a seed can hold."""


class Number(click.FloatRange):
    """A finite number from `low` to `high`."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__(low, high)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if (isinstance(value, str) and not _NUMBER.fullmatch(value)) or not math.isfinite(_float(value)):
            self.fail(f"{value!r} is not a finite number; give one from {self.min:g} to {self.max:g}", param, ctx)
        return super().convert(value, param, ctx)


class Whole(click.IntRange):
    """A whole number from `low` to `high`."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__(low, high)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and not _WHOLE.fullmatch(value):
            self.fail(f"{value!r} is not a whole number; give one from {self.min} to {self.max}", param, ctx)
        return super().convert(value, param, ctx)


class CopiesOption(click.Choice):  # type: ignore[type-arg]
    """A value of `--copies`: a number of servers, or the name of a manager of three."""

    def __init__(self) -> None:
        super().__init__(CHOICES)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | str):
            self.fail(f"{value!r} is not one of: {NAMES}", param, ctx)
        return parse(super().convert(str(value), param, ctx))


class Text(click.ParamType):  # type: ignore[type-arg]  # generic only in the newest click
    """A text that is neither empty nor blank, and has no NUL, which no file name and no variable can have."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            self.fail(f"{value!r} is blank or has a NUL; give a text, or leave it out", param, ctx)
        return value


class Location(click.ParamType):  # type: ignore[type-arg]
    """The path of a file or a folder. `.` is the current folder, an empty text is an error."""

    name = "path"

    def __init__(self, *, exists: bool = False) -> None:
        self._path = click.Path(exists=exists, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value).strip() or "\0" in str(value):
            self.fail(f"{str(value)!r} is no path; give one (`.` is the current folder), or leave it out", param, ctx)
        return self._path.convert(value, param, ctx)


class EnvironmentOption(click.Option):
    """An option with a variable, which is an error if it is set and blank, and not the same as unset."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        for name in [self.envvar] if isinstance(self.envvar, str) else self.envvar or ():
            if name in os.environ and not os.environ[name].strip():
                raise click.BadParameter("it is blank; unset it, or give it a value", ctx, self, f"the variable {name}")
        return super().resolve_envvar_value(ctx)


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
