"""The part `kill`: every node in turn is killed at a random moment under load, databases included."""

from collections.abc import Mapping

from harness.faults import fault
from harness.judge.examination import Examination, Judged
from harness.judge.parts.base import Grade, counts, grade, judged
from harness.judge.round import Round
from harness.runtimes.base import Order
from harness.workload.base import stream
from harness.workload.checkout import Checkout

GAP_S = 3.0
"""Seconds between two kills: the earlier node is to be back before the next one dies."""

BEFORE_S, AFTER_S = 1.0, 2.0
PAUSE_S = 1.5
ENOUGH_FOR_PAUSES = 2.0
"""The scale of an examination from which a last round pauses each node: it answers nothing and keeps its connections."""

BURST_S = 0.5
"""Seconds before each kill in which the clients send without a pause, so that the kill meets transactions."""

CLIENTS = 64
"""So many that a kill meets transactions at every step: with 24, it did in 6 of 9 examinations of a shop without atomicity."""

ROUND_EXTRA_S = 6.0
"""Seconds that a round takes beside its load, on a shop that recovers at once.

A further round has its whole settling time as well, or what it finds would prove nothing.
"""


class Kill:
    name = "kill"
    summary = "every node in turn is killed at random moments under load, databases included"
    share = 0.4
    faults = True

    async def examine(self, examination: Examination, within_s: float) -> Grade:
        rounds = await kill_rounds(examination, within_s)
        kills = sum(len(judged.history.of_kind("fault-start")) for judged in rounds)
        figures = [
            ("kills", kills),
            *((f"checkouts, round {number}", counts(judged.history)) for number, judged in enumerate(rounds, 1)),
        ]
        return grade(self.name, rounds, figures)


async def kill_rounds(examination: Examination, within_s: float) -> list[Judged]:
    """Conduct the rounds, which the part `recovery` shares; as many as the limit has time for, and at least one."""
    if examination.kills is None:
        examination.kills = []
        now_left = within_s
        kinds = ["crash"] * examination.limits.repeat
        if examination.limits.scale >= ENOUGH_FOR_PAUSES and _takers(examination, "pause"):
            kinds.append("pause")
        for number, kind in enumerate(kinds, 1):
            plan = _plan(examination, number, kind)
            needed_s = plan.duration_s + max(ROUND_EXTRA_S, examination.limits.settle_s)
            if number > 1 and min(now_left, examination.left_s) < needed_s:
                break
            before_s = examination.left_s
            examination.kills.append(await judged(plan, examination, max(now_left, plan.duration_s)))
            now_left -= before_s - examination.left_s
    return examination.kills


ORDER: Mapping[str, Order] = {"crash": "kill", "pause": "pause"}
"""The order to a node that a fault gives."""


def _takers(examination: Examination, order: Order) -> list[str]:
    """Return the nodes that take an order: one of commands alone cannot be paused."""
    return [node.name for node in examination.shop.runtime.nodes() if order in node.takes]


def _plan(examination: Examination, number: int, kind: str) -> Round:
    rng = stream(examination.seed, f"kill:{number}")
    nodes = _takers(examination, ORDER[kind])
    rng.shuffle(nodes)
    faults = tuple(
        fault(
            kind,
            (node,),
            for_s=PAUSE_S if kind == "pause" else 0.0,
            at_s=round(BEFORE_S + GAP_S * turn + rng.uniform(0, GAP_S / 2), 3),
        )
        for turn, node in enumerate(nodes)
    )
    duration_s = BEFORE_S + GAP_S * len(nodes) + AFTER_S
    workload = Checkout(
        clients=CLIENTS, users=30, items=12, rate_per_s=200, burst_s=BURST_S, credit=800, stock=400, looks=0.3
    )
    return Round(name=f"kill-{number}{examination.again}", workload=workload, duration_s=duration_s, faults=faults)
