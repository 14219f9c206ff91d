"""The results of a batch: one table for readers, and `results.json`, JUnit and a page for all shops."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from xml.etree.ElementTree import Element, tostring

from harness import formats
from harness.judge.batch import BatchRow, ShopBatch
from harness.judge.defects import DEFECTS
from harness.judge.pages import suite_of
from harness.judge.parts import PARTS
from harness.report import text_table
from harness.report.html.page import environment

KIND = "judge-batch"
WORST_FIRST = ("violated", "unknown", "holds")
NOT_EXAMINED = "not examined"
LONGEST = 96
"""The longest reason in the table; the sheet of the shop has all of it."""


def write(batch: ShopBatch) -> None:
    """Write the files of a batch into its folder. Raises `EnvironmentFailure`."""
    folder = batch.folder
    folder.write(folder.results.name, json.dumps(document(batch), indent=2) + "\n")
    folder.write(folder.report.name, "\n".join(text_table.lines([header(), *table(batch)])) + "\n")
    folder.write("junit.xml", junit(batch))
    folder.write(folder.page.name, page(batch))
    folder.become_latest()


def verdict(batch: ShopBatch) -> str:
    """Return the worst verdict of the shops."""
    found = {row.sheet.verdict for row in batch.rows}
    return next((name for name in WORST_FIRST if name in found), "unknown")


def header() -> list[str]:
    """Return the names of the columns of `table`."""
    return ["shop", "verdict", *PARTS, "first finding"]


def table(batch: ShopBatch) -> list[list[str | None]]:
    """Return a row for each shop: its verdict, the grade of each part, and its first finding or the reason without one."""
    return [[row.entry.name, row.sheet.verdict, *_grades(row), _first(row)] for row in batch.rows]


def document(batch: ShopBatch) -> dict[str, Any]:
    """Return the document of `results.json`."""
    shops = [_shop(row) for row in batch.rows]
    found = [shop["verdict"] for shop in shops]
    counts = ", ".join(f"{found.count(name)} {name}" for name in WORST_FIRST)
    return {
        "format": formats.RESULTS,
        "kind": KIND,
        "wdm": version("wdm"),
        "verdict": verdict(batch),
        "reasons": [f"{shop['name']}: {shop['headline']}" for shop in shops if shop["verdict"] == "unknown"],
        "headline": f"{len(shops)} shops: {counts}",
        "scenario": None,
        "protocol": None,
        "trace": None,
        "seed": batch.seed,
        "interrupted": batch.interrupted,
        "shops": shops,
    }


def junit(batch: ShopBatch) -> bytes:
    """Return a test suite for each shop."""
    suites = Element("testsuites", name="wdm judge --batch")
    suites.extend(suite_of(row.sheet) for row in batch.rows)
    return bytes(tostring(suites, encoding="utf-8", xml_declaration=True))


def page(batch: ShopBatch) -> str:
    """Return the table as one file of HTML, with a link to the grade sheet of each shop."""
    rows = list(zip(batch.rows, table(batch), strict=True))
    template = environment().get_template("judge_batch.html.j2")
    return template.render(rows=rows, columns=header(), verdict=verdict(batch), headline=document(batch)["headline"])


def _shop(row: BatchRow) -> dict[str, Any]:
    return {
        "name": row.entry.name,
        "folder": row.entry.slug,
        "verdict": row.sheet.verdict,
        "headline": row.sheet.headline,
        "environment": row.failed_start,
        "remark": row.remark,
        "parts": {grade.part: grade.standing for grade in row.sheet.grades},
        "defects": [finding.defect for finding in row.sheet.findings],
        "took_s": row.sheet.took_s,
    }


def _grades(row: BatchRow) -> Sequence[str | None]:
    standings = {grade.part: grade.standing for grade in row.sheet.grades}
    return [None if standings.get(part, NOT_EXAMINED) == NOT_EXAMINED else standings[part] for part in PARTS]


def _first(row: BatchRow) -> str | None:
    findings = row.sheet.findings
    if findings:
        return DEFECTS[findings[0].defect].title
    return None if row.sheet.verdict == "holds" else _shortened(row.sheet.headline.partition(": ")[2])


def _shortened(text: str) -> str:
    """Return a text of one line without its middle: a failed command begins with its words and ends with its reason."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 3]} ... {line[-LONGEST // 2 :]}"
