"""One name has one meaning, and one concept has one word: class names, the glossary, private words in names and prose."""

import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from wdm.cli import COMMANDS, wdm


def listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for package in ("wdm", "harness", "protocols") for path in (ROOT / package).rglob("*.py"))
PROTOCOLS = ("protocols/two_phase", "protocols/saga", "protocols/lua_atomic", "protocols/unprotected")
"""Folders that may each have a class of a name, as `Phase`."""

PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "protocols").rglob("*.md"),
    ]
)

FIELD = """
transaction, coordinator, participant, branch, orchestrator, step, compensation, prepare, vote, decision, acknowledgement,
in doubt, presumed abort, inquiry, lock, wait-die, wound-wait, escrow, fence, fencing epoch, idempotency key, tombstone,
forced write, write-ahead log, safeguard, failpoint, failover, replica, shard, node, instance, deployment, runtime, fault,
nemesis, schedule, seed, history, operation, outcome, invariant, anomaly, claim, checker, finding, verdict, quiescence,
open loop, closed loop, service time, response time, coordinated omission, counterexample, trace, span, acknowledged, rejected,
unknown, false acknowledgement, unfinished, capacity, inconclusive
"""
"""The words that the field has, which the glossary may not lose."""

PRIVATE = listed(
    """
    desk turnstile turnstiles scribe crowd till cable cables plugged books shelf glance insides letters bury buried
    hears asks
    """
)
"""Words that stand for something else in this project than they do for a reader. `dead letters` are the field's."""

PERSONS = re.compile(r"\b(is|are|was|were|be|been) told\b|\btells?\b|\bhears?\b|\basks?\b|\bsays\b", re.IGNORECASE)
"""What a person does, and no component."""


def classes() -> Iterator[tuple[str, str]]:
    """(name, place) of every top-level class that is not private; a protocol's own are one place."""
    for path in SOURCES:
        file = path.relative_to(ROOT).as_posix()
        place = next(("protocols" for folder in PROTOCOLS if file.startswith(folder)), file)
        for name in re.findall(r"^class ([A-Za-z]\w*)", path.read_text("utf-8"), re.MULTILINE):
            yield name, place


def words(name: str) -> Iterator[str]:
    """The words of an identifier, `dead_letters` apart."""
    parts = [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    yield from re.sub(r"dead letters?", "", " ".join(parts)).split()


@cache
def is_private(name: str) -> bool:
    return not PRIVATE.isdisjoint(words(name))


def private_names(path: Path) -> set[str]:
    """Return the names in the code of a file with a private word, the file's own among them."""
    text = path.read_text("utf-8")
    # The words of comments and texts are few: a file is taken apart only if such a word may be a name of it.
    suspects = {path.stem, *re.findall(r"[^\W\d]\w*", text)}
    if not any(map(is_private, suspects)):
        return set()
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    names = {path.stem, *(token.string for token in tokens if token.type == tokenize.NAME)}
    return {name for name in names if is_private(name)}


def helps() -> Iterator[tuple[str, str]]:
    """(command, help) of every command, its options' help among it."""
    yield "wdm", wdm.get_help(click.Context(wdm, info_name="wdm"))
    for name in COMMANDS:
        command = wdm.get_command(click.Context(wdm), name)
        assert command is not None
        below = command.commands if isinstance(command, click.Group) else {}
        for one in (command, *below.values()):
            yield f"{name} {one.name}", one.get_help(click.Context(one, info_name=one.name))


def prose(text: str) -> str:
    """The text of a page without its code, whose words are not the page's."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"dead[- ]letters?", "", re.sub(r"`[^`]*`", "", text), flags=re.IGNORECASE)


def spoken(text: str) -> list[str]:
    """Every private word in the prose of a text, and everything that it has a component do as a person."""
    said = prose(text)
    return [word for word in re.findall(r"[a-z]+", said.lower()) if word in PRIVATE] + [
        found[0] for found in PERSONS.finditer(said)
    ]


def glossary() -> list[str]:
    return re.findall(r"^- \*\*([^*]+)\*\*: .", (ROOT / "docs/glossary.md").read_text("utf-8"), re.MULTILINE)


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, set[str]] = {}
    twice = set()
    for name, place in classes():
        if place in places.setdefault(name, set()) and place != "protocols":
            twice.add(name)
        places[name].add(place)
    twice |= {name for name, found in places.items() if len(found) > 1}
    assert sorted(twice) == [], {name: sorted(places[name]) for name in twice}


def test_the_glossary_has_every_word_of_the_field_once_and_in_order() -> None:
    found = glossary()
    assert [word for word in " ".join(FIELD.split()).split(", ") if word not in found] == []
    assert found == sorted(set(found), key=str.lower)


def test_a_line_of_the_glossary_is_one_line() -> None:
    lines = (ROOT / "docs/glossary.md").read_text("utf-8").splitlines()
    entries = lines[lines.index(next(line for line in lines if line.startswith("- "))) :]
    assert [line for line in entries if not line.startswith("- **") or len(line) > 100] == []


def test_no_name_is_a_private_word() -> None:
    found = {path.relative_to(ROOT).as_posix(): private_names(path) for path in SOURCES}
    assert {file: sorted(names) for file, names in found.items() if names} == {}


def test_a_name_with_a_private_word_is_found(tmp_path: Path) -> None:
    path = tmp_path / "shop.py"
    path.write_text('"""The crowd."""\nopen_desk = StillOpen = dead_letters = 1  # the till\nclass BookShelf: pass\n')
    assert private_names(path) == {"open_desk", "BookShelf"}
    assert private_names(path.rename(tmp_path / "cables.py")) == {"cables", "open_desk", "BookShelf"}


@pytest.mark.parametrize(("command", "text"), list(helps()), ids=lambda value: value if len(value) < 30 else "")
def test_no_help_has_a_private_word(command: str, text: str) -> None:
    assert spoken(text) == [], command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_page_has_a_private_word(page: Path) -> None:
    assert spoken(page.read_text("utf-8")) == []
