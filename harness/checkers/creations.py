"""Who made each user, item and order, when, and at which price: what an answer of any time can be held against.

Ids come from a creation, or are the numbers `0` to `n - 1` of a `batch_init`, which sets anew what was there before.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from harness.checkers.shop_model import new_id
from harness.history import History, Operation

EntityKind = Literal["user", "item", "order"]

CREATES: dict[str, EntityKind] = {"create_user": "user", "create_item": "item", "create_order": "order"}
INITS: dict[str, EntityKind] = {"init_users": "user", "init_items": "item", "init_orders": "order"}

FOREVER = 1 << 100
"""An unknown operation may take effect until then."""


def until(operation: Operation) -> int:
    """When it has certainly taken effect, if ever; nanoseconds."""
    return operation.completed_ns if operation.outcome == "ok" else FOREVER


@dataclass(slots=True)
class Creations:
    """`created` are the successful creations of an id, `inits` all `batch_init` that were not refused, by time."""

    created: dict[tuple[EntityKind, str], list[Operation]] = field(default_factory=dict)
    inits: dict[EntityKind, list[Operation]] = field(default_factory=lambda: {"user": [], "item": [], "order": []})
    removed: dict[str, list[Operation]] = field(default_factory=dict)

    def of(self, kind: EntityKind, name: str) -> Iterator[Operation]:
        """All that made this one, or made it anew."""
        yield from self.created.get((kind, name), ())
        number = int(name) if name.isascii() and name.isdecimal() and str(int(name)) == name else None
        if number is not None:
            yield from (each for each in self.inits[kind] if number < int(each.args[0]))

    def is_known(self, kind: EntityKind, name: str, at: Operation) -> bool:
        """Whether the shop said, before `at` began, that there is one, and it cannot have been removed since."""
        if kind == "order" and any(each.invoked_ns < at.completed_ns for each in self.removed.get(name, ())):
            return False
        return any(each.outcome == "ok" and each.completed_ns < at.invoked_ns for each in self.of(kind, name))

    def prices(self, item: str, from_ns: int, to_ns: int) -> frozenset[int]:
        """Every price that the item may have had in this time; empty if nobody said."""
        versions = list(self.of("item", item))
        if len(versions) > 1:
            versions = [each for each in versions if each.invoked_ns < to_ns and not _replaced(each, versions, from_ns)]
        return frozenset(int(each.args[-1]) for each in versions)


def _replaced(old: Operation, versions: list[Operation], at_ns: int) -> bool:
    return any(new.invoked_ns > until(old) and until(new) < at_ns for new in versions)


def find_creations(history: History) -> Creations:
    """Use `history.derive(find_creations)`."""
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
