"""Every report of a bench, written into its folder from what is in it."""

import json
from typing import Any

from harness.report import comparison, junit, pages, tables
from harness.report.runs import BenchResults, read_bench
from harness.run.bench_manifest import BenchFolder


def finish(folder: BenchFolder) -> dict[str, Any]:
    """Judge every history in the folder again, and write every report. The document of `results.json`.

    Raises `ValueError` if the folder is none of a bench that this wdm can read, `EnvironmentFailure` if nothing can be written.
    """
    rows = read_bench(folder.path)
    document = comparison.render(rows)
    _write(folder, rows, document)
    return document


def _write(folder: BenchFolder, rows: BenchResults, document: dict[str, Any]) -> None:
    folder.write(folder.results.name, json.dumps(document, indent=2) + "\n")
    folder.write("results.csv", tables.as_csv(document["rows"]))
    folder.write("summary.md", tables.as_markdown(document))
    folder.write(folder.page.name, pages.of_bench(rows, document))
    folder.write("junit.xml", junit.render_bench(document, rows))
