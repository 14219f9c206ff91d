"""The prose of README and docs: nouns as subjects, lines of 100 columns, links that lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "protocols").rglob("*.md"),
    ]
)
LONGEST = 100
MOST_PER_WORD = 2 / 1_000
"""Clauses with `what` in place of a noun; three comparable projects have 0.1 to 0.4 in 1,000 words."""

CLAUSE = re.compile(r"\bwhat(?:ever)? (?:is|was|are|were|has|had|have)\b", re.IGNORECASE)
PRONOUN = re.compile(
    r"\b(?:who(?:ever|soever)|whatever|(?:no|some|any|every)body)\b|(?:^|[.;:] )who\b|\bwho came\b",
    re.IGNORECASE | re.MULTILINE,
)
"""Subjects that are no noun."""


def prose(page: Path) -> str:
    """The text of a page without blocks of code and code spans."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`", "`", text)


def counts(page: Path) -> tuple[int, int]:
    """(clauses with `what`, words) of a page."""
    text = " ".join(prose(page).split())
    return len(CLAUSE.findall(text)), len(re.findall(r"[A-Za-z][\w'-]*", text))


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_has_few_clauses_in_place_of_nouns(page: Path) -> None:
    clauses, words = counts(page)
    assert clauses <= max(1, words * MOST_PER_WORD), CLAUSE.findall(prose(page))


def test_all_pages_together_have_few_clauses_in_place_of_nouns() -> None:
    found = [counts(page) for page in PAGES]
    assert sum(clauses for clauses, _ in found) <= MOST_PER_WORD * sum(words for _, words in found)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_subject_of_a_sentence_is_a_noun(page: Path) -> None:
    assert PRONOUN.findall(prose(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_prose_is_wrapped(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > LONGEST] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    local = [link.partition("#")[0] for link in links if "://" not in link]
    assert [link for link in local if link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_path_in_the_text_exists(page: Path) -> None:
    """A path of a source file or a folder of tests, from the root or within the packages of the services."""
    paths = re.findall(r"`((?:[\w-]+/)+[\w-]+\.(?:py|lua|toml|yml))`", page.read_text("utf-8"))
    roots = [ROOT, *(ROOT / name for name in ("protocols", "harness", "harness/runtimes"))]
    assert [path for path in paths if not any((root / path).is_file() for root in roots)] == []


def test_the_counter_counts() -> None:
    assert len(CLAUSE.findall("What is down comes back; what was sent, whatever had happened.")) == 3
    assert len(PRONOUN.findall("Whoever asks waits. Who came meanwhile waited; nobody hears it.")) == 3
    assert PRONOUN.findall("The client, who waits.") == []
