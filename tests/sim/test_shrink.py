"""A failing schedule is shrunk to one that fails in the same way, also in another process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.chaos.hunt import run_without
from harness.chaos.shrink import Shrinker
from harness.errors import EnvironmentFailure
from harness.run import in_memory
from harness.run.plan import Plan
from protocols.errors import UsageError
from tests.running import conduct
from tests.sim.conftest import plan_of

HARDEST = "refuse-stale"
"""A safeguard that dozens of seeds do without before one misses it."""
PAGE = (Path(__file__).parents[2] / "docs/ablations.md").read_text("utf-8")
SIMULATED = 6
"""The column of docs/ablations.md with the scenario and seed."""


def recorded_detection(safeguard: str) -> tuple[str, str, int]:
    """Return the detection of an ablation of 2pc in `docs/ablations.md`: (scenario, safeguard, seed)."""
    section = PAGE.partition("\n## 2pc\n")[2].partition("\n## ")[0]
    row = next(line for line in section.splitlines() if line.startswith(f"| `{safeguard}`:"))
    scenario, seed = row.strip("| ").split(" | ")[SIMULATED].replace("`", "").split()
    return scenario, safeguard, int(seed)


def planted(scenario: str, safeguard: str, seed: int) -> Plan:
    return plan_of(scenario, seed=seed, ablate=(safeguard,))


def replayed(folder: Path) -> subprocess.CompletedProcess[str]:
    """Replay the run in a new process with other hashes."""
    command = [sys.executable, "-m", "wdm", "replay", str(folder), "--runs-dir", str(folder.parent)]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "7"}
    )


@pytest.mark.slow  # quick, in one process: `tests/cli/test_simulated.py`
@pytest.mark.parametrize("safeguard", ["fence-inquiry", "force-committed", HARDEST])
def test_a_planted_bug_is_found_shrunk_and_replayed_elsewhere(safeguard: str, tmp_path: Path) -> None:
    plan = planted(*recorded_detection(safeguard))
    failing = in_memory.run(plan)
    assert failing.judgement.verdict == "violated"
    small = Shrinker(plan, failing, budget_s=90).run()
    assert small.schedule is not None
    assert len(small.schedule) <= min(5, len(failing.schedule))
    kept = conduct(small, tmp_path)
    assert len(kept.history.operations) <= len(failing.history.operations)
    again = replayed(kept.folder.path)
    assert again.returncode == 1, again.stderr
    assert f"the same execution as before: trace {kept.digest}" in again.stderr
    assert "CLAIMED AND VIOLATED" in again.stdout


def test_an_ablation_is_found_under_the_recorded_seed() -> None:
    assert run_without("2pc", "guard", "hot-item", 1).names


def test_a_run_of_another_version_cannot_be_replayed(tmp_path: Path) -> None:
    from harness.chaos.replay import load_plan as read_back

    kept = conduct(plan_of("hot-item"), tmp_path).folder.path
    record = kept / "run.toml"
    record.write_text(record.read_text().replace('wdm = "', 'wdm = "0.0.'))
    with pytest.raises(EnvironmentFailure, match=r"is of wdm 0\.0\."):
        read_back(kept)
    record.write_text("seed = 1\n[run]\n")
    with pytest.raises(EnvironmentFailure, match="it has no format"):
        read_back(kept)
    record.write_text("seed = ")
    with pytest.raises(UsageError, match="not valid TOML"):
        read_back(kept)
