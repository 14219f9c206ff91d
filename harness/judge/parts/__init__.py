"""The parts of an examination, in their order: one file and one row each."""

from collections.abc import Mapping

from harness.judge.parts.base import ExaminationPart
from harness.judge.parts.consistency import Consistency
from harness.judge.parts.contract import Contract
from harness.judge.parts.isolation import Isolation
from harness.judge.parts.kill import Kill
from harness.judge.parts.load import Load
from harness.judge.parts.recovery import Recovery
from harness.judge.parts.retry import RetryPart

_ALL: tuple[ExaminationPart, ...] = (Contract(), Consistency(), RetryPart(), Isolation(), Kill(), Recovery(), Load())
PARTS: Mapping[str, ExaminationPart] = {part.name: part for part in _ALL}
"""`contract` comes before the others: where the API is not the expected one, their findings mean little. `load` comes last: it
may leave the shop busy.
"""
