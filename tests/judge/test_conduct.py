"""The whole examination when a part of it fails: the grades before are kept, and the sheet is written."""

from pathlib import Path

import pytest

from harness.errors import EnvironmentFailure
from harness.judge import conduct as conduct_module
from harness.judge.examination import Examination, Limits
from harness.judge.parts.base import Grade
from harness.judge.shop import over_http
from harness.run.folder import RunFolder
from harness.runtimes.external.runtime import ExternalRuntime


class Fails:
    """A part that raises."""

    name, summary, share, faults = "fails", "nothing", 0.5, False

    def __init__(self, failure: Exception) -> None:
        self._failure = failure

    async def examine(self, _examination: Examination, _within_s: float) -> Grade:
        raise self._failure


class Passes:
    """A part that passes."""

    name, summary, share, faults = "passes", "nothing", 0.5, False

    async def examine(self, _examination: Examination, _within_s: float) -> Grade:
        return Grade(part=self.name, standing="passed")


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (EnvironmentFailure("the disk is full"), "the disk is full"),
        (ValueError("odd"), "ValueError: odd"),
        (ExceptionGroup("tasks", [EnvironmentFailure("no file for a connection")]), "no file for a connection"),
    ],
)
def test_a_part_that_fails_is_inconclusive_and_the_others_are_kept(
    failure: Exception, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answered(_: Examination) -> None:
        return None

    monkeypatch.setattr(conduct_module, "first_requests", answered)
    folder = RunFolder.make(tmp_path, "judge")
    runtime = ExternalRuntime("http://127.0.0.1:1", [])
    shop = over_http(dict.fromkeys(("orders", "stock", "payment"), "http://127.0.0.1:1"), runtime)
    examination = Examination(shop=shop, folder=folder.path, seed=1, limits=Limits(budget_s=30))
    sheet = conduct_module.conduct(examination, "a shop", [Passes(), Fails(failure)], folder)
    assert [(grade.part, grade.standing) for grade in sheet.grades] == [("passes", "passed"), ("fails", "inconclusive")]
    assert sheet.grades[1].reasons == (words,)
    assert sheet.verdict == "unknown"
    assert folder.report.is_file()
    assert folder.page.is_file()
