"""The examination of a shop by the command `wdm judge`, in a process of its own."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

ENDS_WITHIN_S = 60.0
"""The time beyond the budget that the command may take to write its files and end."""


class Examined(NamedTuple):
    """An examination that has ended: its exit code and the document of its grade sheet."""

    code: int
    document: dict[str, Any]

    @property
    def defects(self) -> set[str]:
        """The names of all defects that were found."""
        return {finding["defect"] for part in self.document["parts"] for finding in part["findings"]}

    def standing(self, part: str) -> str:
        """Return the standing of a part."""
        (grade,) = [grade for grade in self.document["parts"] if grade["part"] == part]
        return str(grade["standing"])


async def judge(folder: Path, *arguments: str, budget_s: int) -> Examined:
    """Run `wdm judge` with these arguments and this budget, with its runs in `folder`."""
    command = [sys.executable, "-m", "wdm", "-q", "judge", *arguments, "--json", "--runs-dir", str(folder)]
    process = await asyncio.create_subprocess_exec(*command, "--budget", f"{budget_s}s", stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(budget_s + ENDS_WITHIN_S):
        output = await process.stdout.read()
        code = await process.wait()
    return Examined(code, json.loads(output))
