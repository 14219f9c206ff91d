"""`python -m benchmarks.mutants`: draw mutants by a seed, run the quick tests on each, list the survivors."""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from queue import SimpleQueue

import click

from benchmarks.mutants.killers import TARGETS, killers
from benchmarks.mutants.mutate import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
EXPLAINED = Path(__file__).with_name("explained.toml")
STAGE_LIMIT_S = 240
"""Of processor time: a stage that a busy machine makes slow kills no mutant."""

STANDSTILL_S = 1800
"""Of a stage that uses none: one that waits for ever."""

FAILED, INTERRUPTED = 1, 2
FAILING = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
ENDLESS = "does not end"


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@contextmanager
def copies(count: int) -> Iterator[SimpleQueue[Path]]:
    """So many copies of the work tree, for so many tests at a time."""
    with tempfile.TemporaryDirectory(prefix="wdm-mutants-") as folder:
        queue: SimpleQueue[Path] = SimpleQueue()
        for number in range(count):
            copy = Path(folder, str(number))
            for name in tracked():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
            queue.put(copy)
        yield queue


def judge(mutant: Mutant, tree: Path) -> str:
    """What killed the mutant: a test, `does not end`; empty if it survives."""
    place = tree / mutant.path
    text = place.read_text("utf-8")
    place.write_text(mutant.apply(text), "utf-8")
    try:
        return next(filter(None, (_killer(tree, stage) for stage in killers(mutant.path))), "")
    finally:
        place.write_text(text, "utf-8")


def _killer(tree: Path, stage: tuple[str, ...]) -> str:
    """The first test of a stage that fails twice. On a busy machine some test fails once, of itself."""
    folders, unsteady = [folder for folder in stage if (tree / folder).exists()], list[str]()
    while True:
        failing = _failing(tree, [*folders, *(f"--deselect={test}" for test in unsteady)])
        if not failing or failing == ENDLESS or _failing(tree, [failing]):
            return failing
        print(f"unsteady  {failing}", file=sys.stderr, flush=True)
        unsteady.append(failing)


def _failing(tree: Path, tests: list[str]) -> str:
    """The first of the tests that fails, or `does not end`; empty if all pass."""
    call = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [*call, "--tb=short", f"--timeout={STANDSTILL_S}", *tests],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        resource.prlimit(running.pid, resource.RLIMIT_CPU, (STAGE_LIMIT_S, STAGE_LIMIT_S + 5))
        try:
            printed, _ = running.communicate(timeout=STANDSTILL_S)
        except subprocess.TimeoutExpired:
            running.kill()
            return ENDLESS
    if running.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return ENDLESS
    if running.returncode in (FAILED, INTERRUPTED):
        found = FAILING.search(printed)
        return found[1] if found else tests[0]
    if running.returncode:
        raise click.ClickException(f"pytest ended with {running.returncode} on {tests}: {printed[-2000:]}")
    return ""


def check_unchanged(paths: set[str], tree: Path) -> None:
    """Raise unless every stage passes without a mutant: a test that fails anyway kills nothing."""
    for stage in sorted({stage for path in paths for stage in killers(path)}):
        why = _killer(tree, stage)
        if why:
            raise click.ClickException(f"without a mutant: {why}; mend the tests first")


def explained() -> dict[tuple[str, str, str], str]:
    """Reasons why a mutant is no fault, by (path, before, after)."""
    rows = tomllib.loads(EXPLAINED.read_text("utf-8")).get("survivor", [])
    return {(row["path"], row["before"], row["after"]): row["why"] for row in rows}


def key(mutant: Mutant) -> tuple[str, str, str]:
    return mutant.path, " ".join(mutant.before.split()), " ".join(mutant.after.split())


def report(found: list[tuple[Mutant, str]]) -> None:
    reasons = explained()
    survivors = [mutant for mutant, why in found if not why]
    for mutant in survivors:
        print(f"survived  {mutant}\n          {reasons.get(key(mutant), 'NOT EXPLAINED')}")
    for path, count in sorted(Counter(mutant.path for mutant, _ in found).items()):
        lost = sum(mutant.path == path for mutant in survivors)
        print(f"{path:48} {count - lost:4} of {count:4} killed")
    killed = len(found) - len(survivors)
    unexplained = sum(key(mutant) not in reasons for mutant in survivors)
    print(
        f"{killed} of {len(found)} killed ({killed / len(found):.1%}), {unexplained} survivors without an explanation"
    )


@click.command()
@click.option("--seed", default=1, show_default=True, help="Seed of the draw.")
@click.option("--count", default=200, show_default=True, help="Mutants to draw.")
@click.option("--only", multiple=True, help="Pattern of files, as 'harness/checkers/*'; may be given again.")
@click.option("--at-once", default=os.cpu_count() or 1, show_default=True, help="Mutants to test at the same time.")
def main(seed: int, count: int, only: tuple[str, ...], at_once: int) -> None:
    """Draw mutants of the checkers and the store commands, and count those that the quick tests notice."""
    paths = [
        name
        for name in tracked()
        if any(fnmatch(name, pattern) for pattern in TARGETS)
        and name.endswith((".py", ".lua"))
        and (not only or any(fnmatch(name, pattern) for pattern in only))
    ]
    everything = [mutant for path in paths for mutant in mutants(ROOT, path)]
    drawn = random.Random(f"{seed}:mutants").sample(everything, min(count, len(everything)))
    print(f"{len(drawn)} of {len(everything)} mutants of {len(paths)} files, seed {seed}", flush=True)
    with copies(at_once) as trees, ThreadPoolExecutor(at_once) as pool:
        tree = trees.get()
        check_unchanged({mutant.path for mutant in drawn}, tree)
        trees.put(tree)

        def one(mutant: Mutant) -> tuple[Mutant, str]:
            tree = trees.get()
            try:
                why = judge(mutant, tree)
            finally:
                trees.put(tree)
            print(f"{'killed   ' if why else 'survived '} {mutant} {why}".rstrip(), file=sys.stderr, flush=True)
            return mutant, why

        found = list(pool.map(one, drawn))
    report(found)


main()
