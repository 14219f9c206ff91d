"""The file of a batch: one `[[shop]]` table for each shop, with its start, its addresses, its nodes and its limits.

    [[shop]]
    name = "team-1"
    folder = "team-1"
    start = "python app.py --port 8001"
    url = "http://127.0.0.1:8001"
    node = "shop"

Paths are relative to the shop's folder, and the folder to the file. A missing limit is that of the command line.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.judge.examination import Limits
from harness.judge.parts import PARTS
from harness.judge.settings import LEVELS, RANGES_S, seconds
from harness.judge.shop import addresses
from harness.toml_file import TomlFile, did_you_mean
from protocols.errors import UsageError

READY_S, BUILT_S = 60.0, 600.0
"""Seconds until a shop has to respond: after a command, and after Compose, which may build its images first."""

TEXTS = (
    "name", "folder", "start", "stop", "compose", "project", "node", "url", "orders_url", "stock_url", "payment_url", "urls",
    "adapter", "isolation",
)  # fmt: skip
TABLES = ("pid", "pidfile", "start_cmd", "kill_cmd")
NUMBERS = ("repeat", "p99_ms")
KEYS = (*TEXTS, *TABLES, *NUMBERS, *RANGES_S, "parts", "env")
"""The keys of a shop's table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEntry:
    """The table of one shop. `nodes` has the values of `TABLES` as `NAME=VALUE`, `urls` the given addresses by prefix.

    `start` is a command and `compose` a file: the batch starts and ends the shop. `project` is a Compose project that runs
    already. `node` is the name of the processes of `start` as a node, empty where they are none. `ready_s`: the time from the
    start to the first answer. `env` has variables for the commands and the adapter of this shop.
    """

    name: str
    folder: Path
    limits: Limits
    isolation: str
    parts: tuple[str, ...]
    ready_s: float
    start: str = ""
    stop: str = ""
    compose: Path | None = None
    project: str = ""
    node: str = ""
    urls: Mapping[str, str | None]
    urls_file: Path | None = None
    adapter: Path | None = None
    nodes: Mapping[str, tuple[str, ...]]
    env: Mapping[str, str]

    @property
    def slug(self) -> str:
        """The name of the shop's folder in the folder of the batch."""
        return re.sub(r"[^a-zA-Z0-9.]+", "-", self.name).strip("-.")[:40] or "shop"


def read_batch(path: Path, limits: Limits, isolation: str, parts: Sequence[str]) -> list[BatchEntry]:
    """Read the shops of a file; the other arguments are the defaults. Raises `UsageError` with file and line."""
    file = TomlFile(path, "batch")
    file.reject_unknown(file.document, ("shop",))
    tables = file.document.get("shop")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise file.error_at("it needs a table [[shop]] for each shop", "shop")
    entries = [_Table(file, number, table).entry(limits, isolation, parts) for number, table in enumerate(tables)]
    slugs = [entry.slug.lower() for entry in entries]
    for number, entry in enumerate(entries):
        if slugs.index(entry.slug.lower()) != number:
            raise file.error_at(
                f"a second shop is called {entry.name!r}; give each a name of its own", "shop", number, "name"
            )
    return entries


class _Table:
    """One `[[shop]]` table, and the errors with the lines of its keys."""

    def __init__(self, file: TomlFile, number: int, table: dict[str, Any]) -> None:
        self._file = file
        self._place = ("shop", number)
        self._table = table
        file.reject_unknown(table, KEYS, *self._place)

    def entry(self, limits: Limits, isolation: str, parts: Sequence[str]) -> BatchEntry:
        """Return the table as an entry. Raises `UsageError`."""
        texts = {key: self._text(key) for key in TEXTS}
        if not texts["name"]:
            raise self._error("it needs a name", "name")
        folder = self._file.path.parent.absolute() / texts["folder"]
        compose = folder / texts["compose"] if texts["compose"] else None
        self._check_start(texts)
        if isolation_of := texts["isolation"]:
            self._choice("isolation", isolation_of, LEVELS)
        return BatchEntry(
            name=texts["name"],
            folder=folder,
            limits=self._limits(limits),
            isolation=isolation_of or isolation,
            parts=self._parts() or tuple(parts),
            ready_s=self._time("ready_within", BUILT_S if compose else READY_S),
            start=texts["start"],
            stop=texts["stop"],
            compose=compose,
            project=texts["project"],
            node=texts["node"],
            urls=self._urls(texts),
            urls_file=folder / texts["urls"] if texts["urls"] else None,
            adapter=folder / texts["adapter"] if texts["adapter"] else None,
            nodes={key: self._pairs(key, folder) for key in TABLES},
            env={name: str(value) for name, value in self._mapping("env", "VARIABLE").items()},
        )

    def _error(self, message: str, key: str) -> UsageError:
        name = self._table.get("name")
        shop = f"shop {name!r}" if isinstance(name, str) and name else f"shop {self._place[1] + 1}"
        return self._file.error_at(f"{shop}: {message}", *self._place, key)

    def _text(self, key: str) -> str:
        value = self._table.get(key, "")
        if not isinstance(value, str) or (key in self._table and not value.strip()):
            raise self._error(f"{key} is {value!r}; give a text, or leave it out", key)
        return value

    def _check_start(self, texts: Mapping[str, str]) -> None:
        for one, other in (("start", "compose"), ("project", "compose")):
            if texts[one] and texts[other]:
                raise self._error(f"{one} and {other} are both given; give one of them", other)
        for key in ("node", "stop"):
            if texts[key] and not texts["start"]:
                raise self._error(f"{key} belongs to start, which is missing", key)

    def _urls(self, texts: Mapping[str, str]) -> Mapping[str, str | None]:
        """Return the given addresses, each checked; a file of addresses is read after the start, which may write it."""
        urls = {prefix: texts[f"{prefix}_url"] or texts["url"] or None for prefix in ("orders", "stock", "payment")}
        if texts["urls"] or (texts["adapter"] and not any(urls.values())):
            return urls
        try:
            return dict(addresses(None, urls))
        except UsageError as error:
            key = next((key for key in ("url", "orders_url", "stock_url", "payment_url") if texts[key]), "name")
            message = str(error) if any(urls.values()) else "no address: give url, orders_url and the others, or urls"
            raise self._error(message, key) from None

    def _limits(self, defaults: Limits) -> Limits:
        return replace(
            defaults,
            budget_s=self._time("budget", defaults.budget_s),
            settle_s=self._time("settle", defaults.settle_s),
            answer_s=self._time("answer", defaults.answer_s),
            repeat=self._number("repeat", defaults.repeat, int, 1_000),
            limit_p99_ms=self._number("p99_ms", defaults.limit_p99_ms, float, 600_000),
        )

    def _time(self, key: str, default: float) -> float:
        if key not in self._table:
            return default
        try:
            return seconds(self._table[key], *RANGES_S[key])
        except ValueError as error:
            raise self._error(f"{key}: {error}", key) from None

    def _number(self, key: str, default: Any, kind: Callable[[Any], Any], most: int) -> Any:
        value = self._table.get(key, default)
        if type(value) not in (int, kind) or not 1 <= value <= most:
            raise self._error(f"{key} is {value!r}; give a number from 1 to {most}", key)
        return kind(value)

    def _parts(self) -> tuple[str, ...]:
        names = self._table.get("parts", [])
        if not isinstance(names, list):
            raise self._error(f"parts is {names!r}; give a list of names", "parts")
        for name in names:
            self._choice("parts", name, PARTS)
        return tuple(names)

    def _choice(self, key: str, value: object, known: Sequence[str] | Mapping[str, object]) -> None:
        if value not in list(known):
            raise self._error(f"{key} has no {value!r}{did_you_mean(str(value), known)}", key)

    def _pairs(self, key: str, folder: Path) -> tuple[str, ...]:
        """Return a table of nodes as texts `NAME=VALUE`; a file of a pid and a command are those of the shop's folder."""
        table = self._mapping(key, "NODE")
        return tuple(f"{name}={_placed(key, str(value), folder)}" for name, value in table.items())

    def _mapping(self, key: str, of: str) -> dict[str, str | int]:
        table = self._table.get(key, {})
        if not isinstance(table, dict) or not all(type(value) in (str, int) for value in table.values()):
            raise self._error(f"{key} is {table!r}; give a table: {key}.{of} = VALUE", key)
        return table


def _placed(key: str, value: str, folder: Path) -> str:
    return str(folder / value) if key == "pidfile" else value
