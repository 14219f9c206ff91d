"""The reports of a bench, written into its folder from its histories."""

import json
from typing import Any

from harness.report import comparison, junit, pages, tables
from harness.report.runs import BenchResults, read_bench
from harness.run.bench_manifest import BenchFolder


def finish(folder: BenchFolder) -> dict[str, Any]:
    """Judge every history in the folder again, write every report, and return the document of `results.json`.

    Raises `ValueError` for a folder that is no readable bench, and `EnvironmentFailure` if nothing can be written.
    """
    results = read_bench(folder.path)
    document = comparison.render(results)
    _write(folder, results, document)
    return document


def _write(folder: BenchFolder, results: BenchResults, document: dict[str, Any]) -> None:
    folder.write(folder.results.name, json.dumps(document, indent=2) + "\n")
    folder.write("results.csv", tables.as_csv(document["rows"]))
    folder.write("summary.md", tables.as_markdown(document))
    folder.write(folder.page.name, pages.of_bench(results, document))
    folder.write("junit.xml", junit.render_bench(document, results))
