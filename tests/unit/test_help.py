"""`wdm --help` and the help of every command: groups, lines of 80 columns, phrases that stand alone."""

import re
from collections.abc import Iterator
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from wdm.cli import COMMANDS, GROUPS, wdm

FRAGMENT = re.compile(r"^(of|for|in|on|as|to|at|with|from|see|its|so many|only|also|again)\b", re.IGNORECASE)
"""The beginning of a phrase that needs the name of its option to mean something: "Of the load."."""


def described() -> Iterator[tuple[str, click.Command]]:
    """Every command, and every subcommand, with its name."""
    for name in COMMANDS:
        command = wdm.get_command(click.Context(wdm), name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", each) for below, each in command.commands.items())


DESCRIBED = dict(described())


def shown(*arguments: str) -> list[str]:
    """The lines of a help text in a terminal of 80 columns."""
    found = CliRunner().invoke(wdm, [*arguments, "--help"], prog_name="wdm", terminal_width=80)
    assert found.exit_code == 0
    return found.output.splitlines()


def test_twenty_commands_are_in_four_groups_with_a_line_each() -> None:
    lines = shown()
    assert list(GROUPS) == ["Run a shop", "Test a protocol", "Read results", "Machine"]
    assert len(COMMANDS) == sum(map(len, GROUPS.values())) == 20
    for title, commands in GROUPS.items():
        start = lines.index(f"{title}:") + 1
        assert [line.split()[0] for line in lines[start : start + len(commands)]] == list(commands)
    for name, text in COMMANDS.items():
        assert f"  {name:<13}  {text}" in lines, "the short help fits one line"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_short_help_is_the_first_sentence_of_the_command(name: str) -> None:
    command = getattr(import_module(f"wdm.commands.{name.replace('-', '_')}"), name.replace("-", "_"))
    assert COMMANDS[name] == command.get_short_help_str(1_000)


@pytest.mark.parametrize("name", DESCRIBED)
def test_no_line_of_the_help_is_longer_than_80_columns(name: str) -> None:
    long = [line for line in shown(*name.split()) if len(line) > 80]
    assert [
        line for line in long if not line.startswith("  --")
    ] == []  # a declaration of many choices cannot be broken


@pytest.mark.parametrize("name", DESCRIBED)
def test_the_help_of_an_option_is_a_phrase_that_stands_alone(name: str) -> None:
    for option in DESCRIBED[name].params:
        if isinstance(option, click.Option):
            text = (option.help or "").partition("  [")[0]
            assert len(text.split()) >= 3, f"{option.opts[0]}: {text}"
            assert text[0].isupper(), f"{option.opts[0]}: {text}"
            assert text.endswith("."), f"{option.opts[0]}: {text}"
            assert not FRAGMENT.match(text), f"{option.opts[0]}: {text}"
