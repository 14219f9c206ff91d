"""The files whose mutants are judged exist, and so do the tests that judge them."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from benchmarks.mutants.killers import ROWS, TARGETS, killers
from benchmarks.mutants.mutate import mutants

ROOT = Path(__file__).parents[2]
FILES = [
    str(path.relative_to(ROOT)) for folder in ("harness", "protocols") for path in (ROOT / folder).rglob("*.[pl][yu]*")
]


@pytest.mark.parametrize("pattern", TARGETS)
def test_a_pattern_of_files_names_files_with_mutants(pattern: str) -> None:
    found = [name for name in FILES if fnmatch(name, pattern) and name.endswith((".py", ".lua"))]
    assert found, "the files were moved: name their new place"
    assert any(mutants(ROOT, name) for name in found)
    assert all(killers(name) for name in found)


def test_the_tests_of_each_file_exist() -> None:
    named = {folder for _, stages in ROWS for stage in stages for folder in stage}
    assert {folder for folder in named if not (ROOT / folder).is_dir()} == set()


def test_an_explained_survivor_is_a_mutant_of_today() -> None:
    rows = tomllib.loads((ROOT / "benchmarks/mutants/explained.toml").read_text("utf-8"))["survivor"]
    keys = {mutant.key for path in {row["path"] for row in rows} for mutant in mutants(ROOT, path)}
    for row in rows:
        assert (row["path"], row["code"], row["before"], row["after"]) in keys, row
