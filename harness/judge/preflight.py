"""The first requests: whether a shop is there at all, which variant of the API it has, and how fast it answers."""

import asyncio

from harness.history import FileRecorder, Operation
from harness.judge.course_client import CourseClient
from harness.judge.defects import DefectFinding
from harness.judge.examination import Examination
from harness.judge.parts.base import Grade
from harness.run.load import ClientPool
from harness.workload.base import call

NAME = "first requests"
MOST_WAIT_S = 30.0
SHARE = 0.25
"""The share of the budget that a slow start may take."""

AGAIN_S = 0.5
SAMPLE = 64
"""Requests by which the speed is measured."""


async def first_requests(examination: Examination) -> Grade | None:
    """Make one order. Return the grade that ends the examination if the shop cannot do that within the wait, else None."""
    path = examination.folder / "first-requests.ndjson"
    header = examination.header(NAME)
    wait_s = min(MOST_WAIT_S, SHARE * examination.limits.budget_s)
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_s
    with FileRecorder(path, header) as recorder:
        async with examination.shop.connect(min(examination.limits.answer_s, wait_s)) as client:
            clients = ClientPool(client, recorder)
            tries = 0
            while True:
                tries += 1
                failed = await _order(clients, client)
                if failed is None:
                    begin = loop.time()
                    await clients.call_all([call("create_user")] * SAMPLE)
                    examination.requests_per_s = SAMPLE / max(loop.time() - begin, 1e-3)
                    return None
                if loop.time() >= until:
                    return _no_shop(failed, tries, wait_s, path.name)
                await asyncio.sleep(AGAIN_S)


async def _order(clients: ClientPool, client: object) -> Operation | None:
    """Make a user, an item and an order of it, and return the first call without success."""
    session = clients.session()
    user = await session.do(call("create_user"))
    item = await session.do(call("create_item", 1)) if user.outcome == "ok" else user
    order = await session.do(call("create_order", str(user.value))) if item.outcome == "ok" else item
    if order.outcome != "ok":
        return order
    if isinstance(client, CourseClient):
        await client.recognise_add_item(str(order.value), str(item.value))
    read = await session.do(call("find_order", str(order.value)))
    return None if read.outcome == "ok" else read


def _no_shop(failed: Operation, tries: int, wait_s: float, file: str) -> Grade:
    """Return the grade of an address without a shop; a 2xx of another shape breaks the contract."""
    answered = f"{failed.op} {'got' if failed.status == 0 else 'was answered'} {failed.value}"
    what = f"the shop made no order in {wait_s:.0f} s and {tries} tries: {answered}"
    malformed = failed.outcome == "unknown" and 200 <= (failed.status or 0) < 300
    findings = (
        DefectFinding(
            defect="contract",
            explanation=f"Rule: every route answers in the shape of the API. {what}",
            evidence=(failed,),
            history=file,
        ),
    )
    return Grade(
        part=NAME,
        standing="failed" if malformed else "inconclusive",
        findings=findings if malformed else (),
        reasons=(what,),
        histories=(file,),
    )
