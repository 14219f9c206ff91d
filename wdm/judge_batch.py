"""The batch of `wdm judge --batch`: its combination of options, its table and its exit code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.judge import batch_report
from harness.judge.batch import BatchRow, ShopBatch
from harness.judge.batch_file import read_batch
from harness.judge.examination import Limits
from harness.run.folder import RunFolder
from protocols.errors import UsageError
from wdm import combined, ui
from wdm.exits import CODES, ENVIRONMENT, INTERRUPTED, OK, WORST

OF_ONE_SHOP = (
    "url", "urls", "orders_url", "stock_url", "payment_url", "adapter", "compose", "pid", "pidfile", "start_cmd", "kill_cmd",
    "name",
)  # fmt: skip
"""The parameters that belong to one shop, and in a batch to its table."""


def examine(file: Path, runs_dir: Path, given: Mapping[str, Any], limits: Limits, seed: int) -> ShopBatch:
    """Examine the shops of a batch file, and write the files of the batch. Raises `UsageError` and `EnvironmentFailure`."""
    for name in OF_ONE_SHOP:
        if combined.typed(name):
            option = name.upper() if name == "url" else f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} belongs to one shop: give it in the table of that shop in {file}")
    entries = read_batch(file, limits, given["isolation"], given["part"])
    batch = ShopBatch(entries, RunFolder.make(runs_dir, f"judge-batch-{seed}"), seed, ui.progress)
    ui.progress(f"seed {seed}: {len(entries)} shops; folder {batch.folder.path}")
    batch.conduct()
    batch_report.write(batch)
    return batch


def report(batch: ShopBatch, *, as_json: bool) -> int:
    """Print the table of the shops, and return the worst exit code."""
    code = max([OK, *map(_code, batch.rows)], key=WORST.index)
    if as_json:
        document = json.loads(batch.folder.results.read_text("utf-8"))
        ui.document({**document, "folder": str(batch.folder.path), "exit": code})
    else:
        ui.table(batch_report.header(), batch_report.table(batch))
    ui.next_step(f"open {batch.folder.page}")
    return code


def _code(row: BatchRow) -> int:
    return INTERRUPTED if row.sheet.interrupted else ENVIRONMENT if row.failed_start else CODES[row.sheet.verdict]
