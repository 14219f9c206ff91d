"""The creations of each user, item and order, with times and prices: the reference for an answer at any time.

Ids come from a creation, or are the numbers `0` to `n - 1` of a `batch_init`, which resets existing entities.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from harness.checkers.operations import new_id
from harness.history import History, Operation

EntityKind = Literal["user", "item", "order"]

CREATES: dict[str, EntityKind] = {"create_user": "user", "create_item": "item", "create_order": "order"}
INITS: dict[str, EntityKind] = {"init_users": "user", "init_items": "item", "init_orders": "order"}

FOREVER = 1 << 100
"""The time in nanoseconds until which an operation of unknown outcome may take effect."""


def until(operation: Operation) -> int:
    """Return the time in nanoseconds by which an operation has certainly taken effect, or `FOREVER`."""
    return operation.completed_ns if operation.outcome == "ok" else FOREVER


@dataclass(slots=True)
class Creations:
    """All creations. `created` are the successful ones of each id, `inits` each `batch_init` that was not rejected,
    by time.
    """

    created: dict[tuple[EntityKind, str], list[Operation]] = field(default_factory=dict)
    inits: dict[EntityKind, list[Operation]] = field(default_factory=lambda: {"user": [], "item": [], "order": []})
    removed: dict[str, list[Operation]] = field(default_factory=dict)

    def of(self, kind: EntityKind, name: str) -> Iterator[Operation]:
        """Yield the operations that created or reset an entity."""
        yield from self.created.get((kind, name), ())
        number = int(name) if name.isascii() and name.isdecimal() and str(int(name)) == name else None
        if number is not None:
            yield from (init for init in self.inits[kind] if number < int(init.args[0]))

    def is_known(self, kind: EntityKind, name: str, at: Operation) -> bool:
        """Whether an entity was acknowledged before `at` began, and no removal can have ended it since."""
        if kind == "order" and any(removal.invoked_ns < at.completed_ns for removal in self.removed.get(name, ())):
            return False
        return any(
            creation.outcome == "ok" and creation.completed_ns < at.invoked_ns for creation in self.of(kind, name)
        )

    def prices(self, item: str, from_ns: int, to_ns: int) -> frozenset[int]:
        """Return every price that the item may have had between two times in nanoseconds; empty if none is known."""
        versions = list(self.of("item", item))
        if len(versions) > 1:
            versions = [
                version
                for version in versions
                if version.invoked_ns < to_ns and not _replaced(version, versions, from_ns)
            ]
        return frozenset(int(version.args[-1]) for version in versions)


def _replaced(old: Operation, versions: list[Operation], at_ns: int) -> bool:
    return any(new.invoked_ns > until(old) and until(new) < at_ns for new in versions)


def find_creations(history: History) -> Creations:
    """Return the creations of a history. Use `history.derive(find_creations)`."""
    creations = Creations()
    for operation in history.operations:
        if operation.op in CREATES and operation.outcome == "ok":
            kind = CREATES[operation.op]
            creations.created.setdefault((kind, new_id(operation, f"{kind}_id")), []).append(operation)
        elif operation.op in INITS and operation.outcome != "fail":
            creations.inits[INITS[operation.op]].append(operation)
        elif operation.op == "remove_order" and operation.outcome != "fail":
            creations.removed.setdefault(str(operation.args[0]), []).append(operation)
    return creations
