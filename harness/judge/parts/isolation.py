"""The part `isolation`: amounts are powers of two, so that each balance names the checkouts that it contains.

Source: the dependency graph of Adya, "Weak Consistency" (1999), over what reads saw; `harness.checkers.isolation` has the rules.
"""

from harness.judge.examination import Examination
from harness.judge.parts.base import Grade, counts, grade, judged
from harness.judge.round import Round
from harness.judge.workloads import RefusedSets

BITS = 24
"""Checkouts of one user or item: their sum fits into 32 bits, which is all that many shops store."""


class Isolation:
    name = "isolation"
    summary = "which checkouts each read contained: lost updates, dirty and fractured reads, with the cycle"
    share = 0.15
    faults = False

    async def examine(self, examination: Examination, within_s: float) -> Grade:
        if examination.shop.dialect.one_piece:
            why = "addItem adds one piece, and the amounts of this part are powers of two"
            return Grade(part=self.name, standing="not examined", reasons=(why,))
        load_s = min(0.5 * within_s, 10.0 * examination.limits.scale)
        workload = RefusedSets(clients=16, users=10, items=10, checkouts=BITS, pairs=0.4, readers=0.4, rate_per_s=400)
        plan = Round(name=self.name, workload=workload, duration_s=load_s, last_sale=False)
        result = await judged(plan, examination, within_s)
        reads = sum(operation.op.startswith("find_") for operation in result.history.operations)
        figures = [
            ("level that was judged", examination.isolation),
            ("checkouts", counts(result.history)),
            ("reads", reads),
        ]
        return grade(self.name, [result], figures)
