"""The ids that a shop has given during an examination: an id that it gives again belongs to two users, items or orders.

The checkers compare the ids of one history. A counter that begins again after a restart gives ids of earlier rounds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from harness.checkers.creations import CREATES, INITS
from harness.history import Operation
from harness.judge.defects import DefectFinding

MOST = 10


@dataclass(slots=True)
class KnownIds:
    """Every id with the file of the history in which it was given, by kind and id."""

    _files: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, file: str, operations: Iterable[Operation]) -> Iterator[DefectFinding]:
        """Add the ids of a history, and yield one finding if some were given in an earlier history."""
        again: list[tuple[Operation, str]] = []
        for creation in operations:
            if creation.op in INITS and creation.outcome == "ok":
                # The shop was told to begin anew, so that its ids may do so as well.
                kind = INITS[creation.op]
                self._files = {known: first for known, first in self._files.items() if known[0] != kind}
            if creation.op in CREATES and creation.outcome == "ok":
                first = self._files.setdefault((CREATES[creation.op], str(creation.value)), file)
                if first != file:
                    again.append((creation, first))
        if again:
            yield DefectFinding(
                defect="ids-reused",
                explanation=f"{_entity(again[0][0])} was given as a new id in {file}, and before in {again[0][1]}.",
                concerns=tuple(_entity(creation) for creation, _ in again[:MOST]),
                evidence=tuple(creation for creation, _ in again[:MOST]),
                times=len(again),
                history=file,
            )


def _entity(creation: Operation) -> str:
    """Return the entity of a creation as `order 7`."""
    return f"{CREATES[creation.op]} {creation.value}"
