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
"""The limit of processor time of a stage. Wall-clock time would kill mutants on a busy machine."""

TRIED_FIRST = 8
"""The number of tests tried first, out of those that killed mutants of the same file."""

STANDSTILL_S = 7200
"""The limit of wall-clock time, for a stage that waits for ever and uses no processor time."""

FAILED, INTERRUPTED, NO_TESTS = 1, 2, 5
FAILING = re.compile(r"^(?:FAILED|ERROR) ([^\[\n]+?(?:\[.*?\])?)(?= - |$)", re.MULTILINE)
ENDLESS = "does not end"


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@contextmanager
def copies(count: int) -> Iterator[SimpleQueue[Path]]:
    """Give `count` copies of the work tree, one for each test at a time."""
    with tempfile.TemporaryDirectory(prefix="wdm-mutants-") as folder:
        queue: SimpleQueue[Path] = SimpleQueue()
        for number in range(count):
            copy = Path(folder, str(number))
            for name in tracked():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
            queue.put(copy)
        yield queue


class Judge:
    """Judges mutants in copies of the work tree.

    A mutant is killed by a test that fails twice with it and passes without it: on a busy machine some test fails of itself.
    The latest killers of a file's mutants are tried first.
    """

    def __init__(self) -> None:
        self._latest: dict[str, list[str]] = {}
        self._sound: set[str] = set()

    def judge(self, mutant: Mutant, tree: Path) -> str:
        """Return the killer of the mutant: a test or `does not end`; empty if it survives."""
        place = tree / mutant.path
        text = place.read_text("utf-8")
        latest = self._latest.setdefault(mutant.path, [])
        try:
            for stage in (tuple(latest[:TRIED_FIRST]), *killers(mutant.path)):
                killer = self._killer(place, text, mutant.apply(text), stage, tree)
                if killer:
                    latest[:] = [killer, *(test for test in latest if test != killer)] if killer != ENDLESS else latest
                    return killer
            return ""
        finally:
            place.write_text(text, "utf-8")

    def _killer(self, place: Path, text: str, changed: str, stage: tuple[str, ...], tree: Path) -> str:
        tests, unsteady = [test for test in stage if (tree / test.partition("::")[0]).exists()], list[str]()
        while tests:
            place.write_text(changed, "utf-8")
            failing = _failing(tree, [*tests, *(f"--deselect={test}" for test in unsteady)])
            if not failing or failing == ENDLESS:
                return failing
            if _failing(tree, [failing]):
                place.write_text(text, "utf-8")
                if failing in self._sound or not _failing(tree, [failing]):
                    self._sound.add(failing)
                    return failing
            print(f"unsteady  {failing}", file=sys.stderr, flush=True)
            unsteady.append(failing)
        return ""


def _failing(tree: Path, tests: list[str]) -> str:
    """Return the first failing test, or `does not end`; empty if all pass."""
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
        match = FAILING.search(printed)
        return match[1] if match else tests[0]
    if running.returncode not in (0, NO_TESTS):
        raise click.ClickException(f"pytest ended with {running.returncode} on {tests}: {printed[-2000:]}")
    return ""


def explained() -> dict[tuple[str, ...], str]:
    """Return the reasons for accepted survivors, by the `key` of the mutant."""
    rows = tomllib.loads(EXPLAINED.read_text("utf-8")).get("survivor", [])
    return {(row["path"], row["code"], row["before"], row["after"]): row["why"] for row in rows}


def report(judged: list[tuple[Mutant, str]]) -> None:
    reasons = explained()
    survivors = [mutant for mutant, why in judged if not why]
    for mutant in survivors:
        print(f"survived  {mutant}\n          {reasons.get(mutant.key, 'NOT EXPLAINED')}")
    for path, count in sorted(Counter(mutant.path for mutant, _ in judged).items()):
        lost = sum(mutant.path == path for mutant in survivors)
        print(f"{path:48} {count - lost:4} of {count:4} killed")
    killed = len(judged) - len(survivors)
    unexplained = sum(mutant.key not in reasons for mutant in survivors)
    print(
        f"{killed} of {len(judged)} killed ({killed / len(judged):.1%}), {unexplained} survivors without an explanation"
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
    judge = Judge()
    with copies(at_once) as trees, ThreadPoolExecutor(at_once) as pool:

        def judge_one(mutant: Mutant) -> tuple[Mutant, str]:
            tree = trees.get()
            try:
                why = judge.judge(mutant, tree)
            finally:
                trees.put(tree)
            print(f"{'killed   ' if why else 'survived '} {mutant} {why}".rstrip(), file=sys.stderr, flush=True)
            return mutant, why

        judged = list(pool.map(judge_one, drawn))
    report(judged)


main()
