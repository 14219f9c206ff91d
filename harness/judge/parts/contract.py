"""The part `contract`: the rules of the public API, one script each, alone and one after the other.

A script makes calls and returns the sentence that says how the shop broke the rule, or None. It is the evidence of its finding:
all of its requests with their answers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from harness.checkers.formatting import list_operations
from harness.history import Event, FileRecorder, Header, History, Operation
from harness.judge.defects import DEFECTS, DefectFinding
from harness.judge.examination import Examination
from harness.judge.parts import contract_rules as rules
from harness.judge.parts.base import Grade
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


@dataclass
class _Checked:
    """The rules that were checked so far. `lines` are all operations, of which a rule has the last ones."""

    lines: list[Operation] = field(default_factory=list)
    findings: list[DefectFinding] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    rules: int = 0

    def __call__(self, line: Operation | Event) -> None:
        if isinstance(line, Operation):
            self.lines.append(line)


class Contract:
    name = "contract"
    summary = "every route and status rule of the API, with request, answer and rule"
    share = 0.1
    faults = False

    async def examine(self, examination: Examination, within_s: float) -> Grade:
        checked = _Checked()
        header, answer_s = examination.header(self.name), examination.limits.answer_s
        path = examination.folder / f"{self.name}.ndjson"
        ends_s = asyncio.get_running_loop().time() + within_s
        with FileRecorder(path, header, listener=checked) as recorder:
            async with examination.shop.connect(answer_s) as client:
                clients = ClientPool(client, recorder)
                for rule, check in RULES.items():
                    # The part ends in time, but not in the middle of a rule of a slow shop.
                    left_s = ends_s - asyncio.get_running_loop().time()
                    limit_s = min(left_s + answer_s, examination.left_s) if left_s > 0 else 0.0
                    script = Script(clients, examination.shop, examination.limits.settle_s)
                    await _check(rule, check(script), limit_s, checked, header, path.name)
        return _grade(self.name, checked, examination, path.name)


async def _check(
    rule: str, check: Awaitable[str | None], limit_s: float, checked: _Checked, header: Header, file: str
) -> None:
    """Check one rule within a limit in seconds."""
    first = len(checked.lines)
    try:
        async with asyncio.timeout(limit_s):
            broken = await check
    except NotPossible as reason:
        checked.skipped.append(f"{rule}: {reason}")
        return
    except TimeoutError:
        checked.skipped.append(f"{rule}: the time of this part was over")
        return
    checked.rules += 1
    if broken:
        checked.findings.append(_finding(rule, broken, History(header, checked.lines[first:]), file))


def _finding(rule: str, broken: str, history: History, file: str) -> DefectFinding:
    defect, separator, words = broken.partition(": ")
    if not separator or defect not in DEFECTS:
        defect, words = "contract", broken
    operations = history.operations
    return DefectFinding(
        defect=defect,
        explanation=f"Rule: {rule}. {words}\n{list_operations(history, operations)}",
        concerns=(rule,),
        evidence=tuple(operations)[:30],
        history=file,
    )


def _grade(name: str, checked: _Checked, examination: Examination, file: str) -> Grade:
    figures = [("rules kept", f"{checked.rules - len(checked.findings)} of {checked.rules}")]
    if checked.skipped:
        figures.append(("rules that could not be checked", str(len(checked.skipped))))
    figures += [("recognised variant", variant) for variant in examination.shop.dialect.seen]
    findings = (*checked.findings, *examination.ids.add(file, checked.lines))
    return Grade(
        part=name,
        standing="failed" if findings else "passed" if checked.rules else "inconclusive",
        findings=findings,
        reasons=tuple(f"not checked: {rule}" for rule in checked.skipped),
        figures=tuple(figures),
        histories=(file,),
        sales=sum(line.op == "checkout" and line.outcome == "ok" for line in checked.lines),
    )
