"""The part `recovery`: the time that a shop takes after a kill, and its losses. It shares the rounds of the part `kill`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from harness.checkers.recovery import blocked
from harness.judge.defects import DefectFinding
from harness.judge.examination import Examination, Judged
from harness.judge.parts.base import Grade, grade
from harness.judge.parts.kill import kill_rounds
from harness.judge.settling import last_settled

OF_RECOVERY = frozenset({"never-settled", "lock-outlives-holder", "in-doubt-leak", "lost-over-kill", "slow-recovery"})
"""The defects of this part; the part `kill` reports all of a round."""


class Recovery:
    name = "recovery"
    summary = "after each kill: time to the first success, time until nothing is inconsistent, losses for good"
    share = 0.05
    faults = True

    async def examine(self, examination: Examination, within_s: float) -> Grade:
        rounds = await kill_rounds(examination, within_s)
        slow = [finding for judged in rounds for finding in _slow(examination, judged)]
        if slow and examination.busyness.is_busy:
            examination.say("slow after a kill on a busy machine: the kills are repeated before the shop is blamed")
            examination.kills = None
            examination.again = "-again"
            rounds = await kill_rounds(examination, examination.left_s)
            slow = [finding for judged in rounds for finding in _slow(examination, judged)]
        kept = [
            msgspec.structs.replace(
                judged, findings=tuple(finding for finding in judged.findings if finding.defect in OF_RECOVERY)
            )
            for judged in rounds
        ]
        figures = list(_figures(rounds))
        return msgspec.structs.replace(grade(self.name, kept, figures, slow), sales=0)  # counted by the part `kill`


def _figures(rounds: Sequence[Judged]) -> Iterator[tuple[str, str]]:
    """Yield the times after the kills of each node, and the settling time of each round."""
    firsts: dict[str, list[str]] = {}
    for block in (block for judged in rounds for block in blocked(judged.history)):
        first_s = (block["from_start_s"] or {}).get("checkout")
        firsts.setdefault(str(block["target"]), []).append("none" if first_s is None else f"{first_s:.2f} s")
    for node, times in firsts.items():
        yield f"first checkout after a kill of {node}", ", ".join(times)
    settled = [last_settled(judged.history) for judged in rounds]
    if any(settled):
        yield "consistent after the load of each round", ", ".join(_settled(event.data) for event in settled if event)


def _settled(data: Mapping[str, Any]) -> str:
    return f"not within {data['within_s']:g} s" if data["after_s"] is None else f"{data['after_s']:g} s"


def _slow(examination: Examination, judged: Judged) -> Iterator[DefectFinding]:
    """Yield the kills after which no checkout succeeded for longer than the settling time, though clients tried."""
    limit_s = examination.limits.settle_s
    blocks = blocked(judged.history)
    for number, block in enumerate(blocks):
        first_s = (block["from_start_s"] or {}).get("checkout")
        # The time until a success after several kills is no time of one recovery.
        overlaps = first_s is not None and any(
            other["from_s"] < block["from_s"] + first_s for other in blocks[number + 1 :]
        )
        if first_s is not None and first_s > limit_s and not overlaps:
            yield DefectFinding(
                defect="slow-recovery",
                explanation=f"After the kill of {block['target']}, the first checkout succeeded {first_s:.1f} s later, "
                f"and not within {limit_s:g} s.",
                concerns=(str(block["target"]),),
                history=judged.history.header.scenario.removeprefix("judge: ") + ".ndjson",
            )
