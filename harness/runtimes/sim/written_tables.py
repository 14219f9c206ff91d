"""Tables that record whether a command has changed them: a server sends its followers only what is a write."""

from typing import Any

from protocols.store.tables import Tables


class WrittenTables(dict[str, dict[str, Any]]):
    """`Tables`, with `changed` set by every write. An empty table, which no server has, is none."""

    def __init__(self, tables: Tables) -> None:
        super().__init__({name: _Fields(fields, self) for name, fields in tables.items()})
        self.changed = False

    def snapshot(self) -> Tables:
        """Return a copy that later writes do not change: records are immutable."""
        return {name: dict(fields) for name, fields in self.items()}

    def setdefault(self, name: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
        if name not in self:
            self[name] = default or {}
        return self[name]

    def __setitem__(self, name: str, fields: dict[str, Any]) -> None:
        self.changed |= bool(fields)
        super().__setitem__(name, _Fields(fields, self))

    def __delitem__(self, name: str) -> None:
        self.changed |= bool(self[name])
        super().__delitem__(name)

    def pop(self, name: str, *default: Any) -> Any:
        self.changed |= bool(self.get(name))
        return super().pop(name, *default)


class _Fields(dict[str, Any]):
    """The fields of one table."""

    def __init__(self, fields: dict[str, Any], tables: WrittenTables) -> None:
        super().__init__(fields)
        self._tables = tables

    def __setitem__(self, field: str, record: Any) -> None:
        self._tables.changed = True
        super().__setitem__(field, record)

    def __delitem__(self, field: str) -> None:
        self._tables.changed = True
        super().__delitem__(field)

    def pop(self, field: str, *default: Any) -> Any:
        self._tables.changed |= field in self
        return super().pop(field, *default)

    def setdefault(self, field: str, default: Any = None) -> Any:
        if field not in self:
            self[field] = default
        return self[field]

    def update(self, *args: Any, **fields: Any) -> None:
        self._tables.changed = True
        super().update(*args, **fields)

    def clear(self) -> None:
        self._tables.changed = True
        super().clear()
