"""The part `contract`: the rules of the public API, one script each, alone and one after the other.

A script makes calls and returns the sentence that says how the shop broke the rule, or None. It is the evidence of its finding:
all of its requests with their answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from harness.checkers.formatting import list_operations
from harness.history import FileRecorder, History, Operation
from harness.judge.defects import DEFECTS, DefectFinding
from harness.judge.examination import Examination
from harness.judge.parts import contract_rules as rules
from harness.judge.parts.base import Grade, Standing
from harness.judge.parts.contract_script import NotPossible, Script
from harness.run.load import ClientPool

Rule = Callable[[Script], Awaitable[str | None]]

RULES: Mapping[str, Rule] = {
    "a new user has an id and credit 0": rules.new_user,
    "add_funds adds to the credit": rules.deposits_add,
    "pay takes from the credit, and answers 4xx below zero with nothing changed": rules.payment_has_a_floor,
    "a new item has its price and stock 0, and stock/add adds": rules.new_item,
    "stock/subtract takes, and answers 4xx below zero with nothing changed": rules.stock_has_a_floor,
    "a new order is empty and unpaid, and names its user": rules.new_order,
    "addItem adds a line, and quantity times price to the total": rules.lines_add_up,
    "an order may have one item twice, and quantities add up": rules.one_item_twice,
    "a checkout takes stock and credit, and marks the order as paid": rules.checkout_takes_all,
    "a checkout of a paid order is 200 and charges nothing": rules.paid_once,
    "two checkouts of one order at once have one effect, and both succeed": rules.two_at_once,
    "too little credit is 4xx, and nothing has changed": rules.poor_user,
    "too little stock is 4xx, and nothing has changed": rules.sold_out,
    "an order whose checkout failed checks out after a deposit": rules.failed_then_paid,
    "an empty order checks out at cost 0": rules.empty_order,
    "addItem to a paid order is 4xx, and the order stays as it was": rules.closed_order,
    "an unknown id is 4xx": rules.unknown_ids,
    "a negative, fractional or too large number is 4xx": rules.nonsense,
    "an order may have 100 items": rules.many_lines,
    "batch_init sets its records, also a second time": rules.batches,
}
"""Every rule, as the sentence of the contract that it checks."""


class Contract:
    name = "contract"
    summary = "every route and status rule of the API, with request, answer and rule"
    share = 0.1
    faults = False

    async def examine(self, examination: Examination, within_s: float) -> Grade:
        lines: list[Operation] = []
        findings: list[DefectFinding] = []
        skipped: list[str] = []
        checked = 0
        header = examination.header(self.name)
        path = examination.folder / f"{self.name}.ndjson"
        with FileRecorder(
            path, header, listener=lambda line: lines.append(line) if isinstance(line, Operation) else None
        ) as recorder:
            async with examination.shop.connect(examination.limits.answer_s) as client:
                clients = ClientPool(client, recorder)
                for rule, check in RULES.items():
                    first = len(lines)
                    try:
                        async with asyncio.timeout(max(0.1, min(within_s, examination.left_s))):
                            broken = await check(Script(clients, examination.shop))
                    except NotPossible as reason:
                        skipped.append(f"{rule}: {reason}")
                        continue
                    except TimeoutError:
                        skipped.append(f"{rule}: the time of the examination was over")
                        continue
                    checked += 1
                    if broken:
                        findings.append(_finding(rule, broken, History(header, lines[first:]), path.name))
        findings += examination.ids.add(path.name, lines)
        sales = sum(line.op == "checkout" and line.outcome == "ok" for line in lines)
        return _grade(self.name, findings, skipped, checked, sales, examination, path.name)


def _finding(rule: str, broken: str, history: History, file: str) -> DefectFinding:
    defect, separator, words = broken.partition(": ")
    if not separator or defect not in DEFECTS:
        defect, words = "contract", broken
    steps = list_operations(history, history.operations)
    return DefectFinding(
        defect=defect,
        explanation=f"Rule: {rule}. {words}\n{steps}",
        concerns=(rule,),
        evidence=tuple(history.operations)[:30],
        history=file,
    )


def _grade(
    name: str,
    findings: list[DefectFinding],
    skipped: list[str],
    checked: int,
    sales: int,
    examination: Examination,
    file: str,
) -> Grade:
    figures = [("rules kept", f"{checked - len(findings)} of {checked}")]
    figures += [("recognised variant", variant) for variant in examination.shop.dialect.seen]
    standing: Standing = "failed" if findings else "passed" if checked else "inconclusive"
    return Grade(
        part=name,
        standing=standing,
        sales=sales,
        findings=tuple(findings),
        reasons=tuple(f"not checked: {rule}" for rule in skipped),
        figures=tuple(figures),
        histories=(file,),
    )
