"""The types of all parameters: what is no number, no name or no path is refused by name, before anything is done with it.

click alone lets `nan` and `inf` through a range that is open or that they compare with as false, and takes an empty text for a
text; then a run never ends, or the current folder is filled. Every parameter of every command has one of these types, is a
choice or is a flag: a test walks over them. `wdm.toml` and the `WDM_*` variables go through the same types.
"""

import math
import os
import re
from pathlib import Path
from typing import Any

import click

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"[-+]?[0-9]{1,30}")

MOST_SEED = 2**63 - 1
"""What every format that keeps a seed can hold."""


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


class Text(click.ParamType):  # type: ignore[type-arg]  # generic only in the newest click
    """A text that says something: not empty, not blank, and no NUL, which no file name and no variable can have."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            self.fail(f"{value!r} says nothing; give a text that is not blank, or leave it out", param, ctx)
        return value


class Location(click.ParamType):  # type: ignore[type-arg]
    """The path of a file or a folder. Nothing is not "here": `.` is."""

    name = "path"

    def __init__(self, *, exists: bool = False) -> None:
        self._path = click.Path(exists=exists, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value).strip() or "\0" in str(value):
            self.fail(f"{str(value)!r} is no path; give one (`.` is the current folder), or leave it out", param, ctx)
        return self._path.convert(value, param, ctx)


class EnvironmentOption(click.Option):
    """An option whose variable, if it is set, says something: an empty one is refused, not read as unset."""

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
