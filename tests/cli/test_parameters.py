"""No parameter of any command takes what is no number, no text or no path: a walk over the tree of commands."""

import os
from collections.abc import Iterator
from itertools import groupby, product
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from harness.bench.cases import SWEPT
from protocols.errors import UsageError
from wdm import cli
from wdm.commands.bench import bench
from wdm.config import ConfigFile
from wdm.parameters import CopiesOption, EnvironmentOption, Location, Number, Text, Whole

NO_NUMBERS = (
    "nan",
    "-nan",
    "inf",
    "-inf",
    "infinity",
    "1e400",
    "1e308",
    "-1e308",
    "",
    " ",
    "1 2",
    " 1",
    "1_0",
    "١",
    "9" * 400,
    "9" * 5_000,
)
NO_TEXTS = ("", " ", "\t\n")


class Place(NamedTuple):
    """A parameter, and the words that call its command."""

    command: tuple[str, ...]
    parameter: click.Parameter

    @property
    def id(self) -> str:
        return " ".join((*self.command, self.name))

    @property
    def name(self) -> str:
        """`--long-name`, or the argument's as the usage line has it."""
        metavar = self.parameter.metavar if isinstance(self.parameter, click.Argument) else None
        return metavar or max(self.parameter.opts, key=len)

    @property
    def call(self) -> list[str]:
        """The words that call its command, and an argument that it cannot do without."""
        return [*self.command, *("." for place in PLACES if place.command == self.command and place.parameter.required)]


def walk(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[Place]:
    context = click.Context(command)
    for parameter in command.params:
        yield Place(words, parameter)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk(found, (*words, name))


PLACES = [place for place in walk(cli.wdm) if not getattr(place.parameter, "is_flag", False)]
OPTIONS = [place for place in PLACES if isinstance(place.parameter, click.Option)]
NUMBERS = [place for place in OPTIONS if isinstance(place.parameter.type, click.FloatRange | click.IntRange)]
TEXTS = [place for place in PLACES if place not in NUMBERS]
WITH_VARIABLE = [place for place in OPTIONS if place.parameter.envvar]


def of_each_command(places: list[Place]) -> Any:
    """A test a command, which looks at all its parameters: one a parameter are hundreds."""
    by_command = [[*found] for _, found in groupby(places, lambda place: place.command)]
    return pytest.mark.parametrize("places", by_command, ids=[" ".join(found[0].command) for found in by_command])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("WDM_")]:
        monkeypatch.delenv(name)
    return tmp_path


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error of a command that is refused before it does anything."""
    before = sorted(Path().iterdir())
    code = cli.main(["--quiet", *arguments])
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1), error
    assert sorted(Path().iterdir()) == before
    return error


def test_the_walk_is_of_all_commands() -> None:
    assert {place.command[0] for place in PLACES if place.command} >= set(cli.COMMANDS) - {"txn"}
    assert {"txn show --state-dir", "chaos --duration-s", "bench --p99-ms", "check-history file"} <= {
        place.id for place in PLACES
    }
    assert len(NUMBERS) > 25


@of_each_command(PLACES)
def test_every_parameter_has_a_type_that_refuses(places: list[Place]) -> None:
    for place in places:
        assert isinstance(place.parameter.type, Number | Whole | Text | Location | click.Choice), place.id
        assert not place.parameter.envvar or isinstance(place.parameter, EnvironmentOption), place.id


@of_each_command(NUMBERS)
def test_no_number_is_refused_with_the_option_and_the_bounds(
    places: list[Place], capsys: pytest.CaptureFixture[str]
) -> None:
    for place, value in product(places, NO_NUMBERS):
        error = refused([*place.command, f"{place.name}={value}"], capsys)
        assert f"'{place.name}'" in error
        assert "give one from" in error or "is not in the range" in error


@of_each_command(TEXTS)
def test_a_blank_text_is_refused(places: list[Place], capsys: pytest.CaptureFixture[str]) -> None:
    for place, value in product(places, NO_TEXTS):
        option = isinstance(place.parameter, click.Option)
        error = refused([*place.command, f"{place.name}={value}" if option else value], capsys)
        assert place.name.lower() in error.lower()


@of_each_command(WITH_VARIABLE)
def test_a_variable_is_refused_as_the_option_is(
    places: list[Place], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in places:
        variable = str(place.parameter.envvar)
        for value in ("nan", "1e308", "", " ") if place in NUMBERS else NO_TEXTS:
            monkeypatch.setenv(variable, value)
            assert variable in refused(place.call, capsys)
        monkeypatch.delenv(variable)


@of_each_command([place for place in WITH_VARIABLE if place.name not in ("--config", "--option")])
def test_a_key_of_the_file_is_refused_as_the_option_is(places: list[Place]) -> None:
    command = places[0].command[0]
    found = cli.wdm.get_command(click.Context(cli.wdm), command)
    assert found is not None
    for place in places:
        key = place.name.lstrip("-")
        for value in ("nan", "inf", '""', "9" * 400) if place in NUMBERS else ('""', '" "', '"\\u0000"', "nan"):
            for text in (f"{key} = {value}\n", f"[{command}]\n{key} = {value}\n", f"[{command}]\n{key} = [{value}]\n"):
                Path("wdm.toml").write_text(text)
                with pytest.raises(UsageError, match=f"^wdm.toml:{text.count(chr(10))}: {key} = "):
                    ConfigFile(Path("wdm.toml"), {command: found})


def test_the_file_is_refused_by_whatever_command_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("wdm.toml").write_text("[chaos]\nduration-s = nan\n")
    for command in ("chaos", "doctor", "up", "runs"):
        assert "wdm.toml:2: duration-s = nan" in refused([command], capsys)


@pytest.mark.parametrize("name", SWEPT)
def test_what_is_swept_has_the_bounds_of_its_option(name: str) -> None:
    found = next(one.type for one in bench.params if one.name == name)
    if isinstance(found, CopiesOption):
        assert SWEPT[name].words == f"one of {', '.join(found.choices)}"
        return
    assert isinstance(found, Number | Whole)
    assert (found.min, found.max) == SWEPT[name]


@pytest.mark.parametrize("name", SWEPT)
def test_a_sweep_over_what_is_no_number_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for value in ("nan", "inf", "1e308", "", " ", "-1", "1,nan", "1,,2", "1,1", "1,"):
        assert f"--sweep {name}" in refused(["bench", "--sweep", f"{name}={value}"], capsys)


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "-1", "-1e-9", "", " "])
def test_a_condition_without_a_finite_number_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--fail-if" in refused(["bench", "--fail-if", f"p99_ms > {value}"], capsys)


def test_a_condition_that_names_nobody_is_not_for_everybody(capsys: pytest.CaptureFixture[str]) -> None:
    for whose in ("2pc@", "@", " "):
        assert "--fail-if" in refused(["bench", "--fail-if", f"{whose}: p99_ms > 5"], capsys)


def test_what_is_a_number_is_taken() -> None:
    for value in ("8123", "+8123", 8123):
        assert Whole(0, 65_535).convert(value, None, None) == 8123
    for value, number in (("1", 1.0), (".5", 0.5), ("2.", 2.0), ("1e1", 10.0), ("3600", 3600.0)):
        assert Number(0.1, 3600).convert(value, None, None) == number


def test_refusals_are_the_same_for_whoever_uses_the_library() -> None:
    from harness.explore.breadth import Bounds
    from harness.explore.suite import ModelCheck
    from harness.run.plan import Plan
    from harness.runtimes.deployment.spec import Spec
    from harness.workload import WORKLOADS
    from wdm.testing.contract import scenario_of

    nan, inf = float("nan"), float("inf")
    for value in (nan, inf, -inf, 0.0, -1.0, 1e308):
        with pytest.raises(UsageError, match="duration_s"):
            scenario_of("checkout", value)
        if value != 1e308:
            with pytest.raises(UsageError, match="would not end"):
                ModelCheck("2pc", bounds=Bounds(seconds=value))
        for name in ("respawn_after_s", "time_limit_s"):
            if (name, value) != ("respawn_after_s", 0.0):
                with pytest.raises(UsageError, match=name.replace("_", "-")):
                    Spec(protocol="2pc", **{name: value}).check()
        for workload in WORKLOADS.values():
            with pytest.raises(UsageError, match="rate_per_s"):
                workload(rate_per_s=value)
    for name in ("workers", "port", "store_memory_mb"):
        for value in (nan, inf, -1, 2.5, True, 10**400):
            with pytest.raises(UsageError, match=name.replace("_", "-")):
                Spec(protocol="2pc", **{name: value}).check()
    assert Plan(scenario_of("checkout"), "2pc", 1).spec()
