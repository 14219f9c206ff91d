"""Scenarios: a workload, what breaks meanwhile, and what must hold; read from TOML.

    summary = "The stock service dies now and then"
    duration_s = 12             # of the load
    durability = "everysec"     # or "always"
    workers = 1                 # processes a service
    must_hold = ["isolation"]   # checkers that must find something to judge, so that `holds` means that

    [workload]
    name = "checkout"           # the other keys are its settings
    rate_per_s = 200

    [[fault]]
    kind = "crash"
    target = ["stock", "any-store"]     # a list of texts is taken in turn; "broker?": only if there is one
    at_s = 2.0
    for_s = [0.5, 1.5]                  # two numbers are a range, drawn anew each time; 0: until the load ends
    every_s = 4                         # again after so long, until the load ends; without it once

What else a fault has are settings of its kind. The word `each` for a setting that names a failpoint stands for all
failpoints of the protocol, in turn. The seed decides every draw.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from harness import faults
from harness.checkers import CHECKERS
from harness.faults import LONGEST_S, Fault, Setting
from harness.toml_file import TomlFile, did_you_mean
from harness.workload import WORKLOADS
from harness.workload.base import Workload, stream
from protocols.errors import UsageError

DEFAULT = "kill-one-at-a-time"
EACH = "each"
IF_THERE = "?"
INF = float("inf")
SHORTEST_PERIOD_S = 0.05

Span = tuple[float, float]
"""From, to; equal where nothing is left to chance. A setting between whole numbers is a whole number."""

Choice = tuple[str, ...] | Span


@dataclass(frozen=True, slots=True)
class Recurring:
    """One `[[fault]]`: what it may be each time it comes. `settings` are as in the file: texts in turn, or a range."""

    kind: str
    targets: tuple[str, ...]
    at_s: Span
    for_s: Span
    every_s: Span | None
    settings: Mapping[str, Choice]

    def where(self, *, broker: bool) -> "Recurring | None":
        """With the broker among its targets, or without; None if it was for the broker alone: then it is for nobody."""
        named = (name.removesuffix(IF_THERE) for name in self.targets if broker or not name.endswith(IF_THERE))
        targets = tuple(named)
        return replace(self, targets=targets) if targets or not self.targets else None

    def occur(self, duration_s: float, rng: Random, failpoints: Sequence[str]) -> Iterator[Fault]:
        """Each time that it comes before the load ends."""
        turn, at_s = 0, rng.uniform(*self.at_s)
        while at_s < duration_s:
            targets = (self.targets[turn % len(self.targets)],) if self.targets else None
            settings = {name: _pick(choice, turn, rng, failpoints) for name, choice in self.settings.items()}
            yield faults.fault(self.kind, targets, round(at_s, 3), round(rng.uniform(*self.for_s), 3), settings)
            if self.every_s is None:
                return
            turn, at_s = turn + 1, at_s + rng.uniform(*self.every_s)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A checked scenario. `text` is its file, to be kept with the run."""

    name: str
    summary: str
    workload_name: str
    workload: Workload
    duration_s: float = 15.0
    durability: str = "everysec"
    workers: int = 1
    time_limit_s: float = 10.0
    respawn_after_s: float = 0.5
    must_hold: tuple[str, ...] = ()
    faults: tuple[Recurring, ...] = ()
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Raise `UsageError` for a load that would never begin or never end; the rest `Spec.check` sees."""
        if not 0 < self.duration_s <= LONGEST_S:
            raise UsageError(f"duration_s={self.duration_s!r} is not above 0 and at most {LONGEST_S:g}")

    def schedule(self, seed: int, failpoints: Sequence[str] = (), *, broker: bool = False) -> list[Fault]:
        """Every fault of one run, in order of time. `failpoints` are what `each` stands for; is there a broker?"""
        failpoints = spread(failpoints)
        found = [
            (fault.at_s, number, fault)
            for number, one in enumerate(self.faults)
            for fault in self._occurrences(seed, number, one, failpoints, broker=broker)
        ]
        return [fault for _, _, fault in sorted(found, key=lambda each: each[:2])]

    def never_due(self, seed: int, *, broker: bool = False) -> Iterator[tuple[Recurring, str]]:
        """Those that `schedule` has no fault for, each with the reason."""
        for number, one in enumerate(self.faults):
            if one.where(broker=broker) is None:
                yield one, "there is no broker"
            elif next(self._occurrences(seed, number, one, (), broker=broker), None) is None:
                yield (
                    one,
                    f"it is due {one.at_s[0]:g} s after the start at the earliest, of a load of {self.duration_s:g} s",
                )

    def _occurrences(
        self, seed: int, number: int, one: Recurring, failpoints: Sequence[str], *, broker: bool
    ) -> Iterator[Fault]:
        there = one.where(broker=broker)
        if there is not None:
            yield from there.occur(self.duration_s, stream(seed, f"faults:{number}"), failpoints)


def packaged() -> dict[str, Path]:
    """The scenarios that come with wdm, by name."""
    folder = Path(str(files("scenarios")))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load(name: str) -> Scenario:
    """A packaged scenario by name, or any by its path. Raises `UsageError` with file, line and key."""
    known = packaged()
    if name in known:
        return read(known[name])
    if name.endswith(".toml") or Path(name).is_file():
        return read(Path(name))
    raise UsageError(f"no scenario {name!r}{did_you_mean(name, known)}; or name a file that ends in .toml")


def read(path: Path) -> Scenario:
    return _Reader(TomlFile(path, "scenario")).scenario()


class _Reader:
    def __init__(self, file: TomlFile) -> None:
        self._file = file

    def scenario(self) -> Scenario:
        said = self._file.document
        known = ("summary", "duration_s", "durability", "workers", "time_limit_s", "respawn_after_s", "must_hold")
        self._file.reject_unknown(said, (*known, "workload", "fault"))
        plain = {key: said[key] for key in known if key in said}
        for key, value in plain.items():
            self._check(key, value)
        if "summary" not in plain:
            raise self._file.error_at("summary is missing: one line about the faults", "summary")
        name, workload = self._workload(said.get("workload", {}))
        return Scenario(
            name=self._file.path.stem,
            workload_name=name,
            workload=workload,
            faults=tuple(self._faults(said.get("fault", []))),
            text=self._file.text,
            **{**plain, "must_hold": tuple(plain.get("must_hold", ()))},
        )

    # ------------------------------------------------------------ inside

    def _check(self, key: str, value: Any) -> None:
        """One of the plain keys at the top."""
        bounds: dict[str, Span] = {
            "duration_s": (0.1, LONGEST_S),
            "time_limit_s": (0.1, LONGEST_S),
            "respawn_after_s": (0.01, LONGEST_S),
            "workers": (1, 64),
        }
        if key in bounds:
            low, high = self._span(value, key, key)
            if (
                low != high
                or not bounds[key][0] <= low <= bounds[key][1]
                or (key == "workers" and type(value) is float)
            ):
                raise self._wrong(key, value, f"a number from {bounds[key][0]:g} to {bounds[key][1]:g}", key)
        elif key == "summary" and (not isinstance(value, str) or not value.strip() or "\n" in value):
            raise self._wrong(key, value, "one line of text", key)
        elif key == "durability" and value not in ("everysec", "always"):
            raise self._wrong(key, value, "'everysec' or 'always'", key)
        elif key == "must_hold" and not (isinstance(value, list) and all(each in [*CHECKERS] for each in value)):
            raise self._wrong(key, value, f"a list of: {', '.join(CHECKERS)}", key)

    def _workload(self, table: Any) -> tuple[str, Workload]:
        if not isinstance(table, dict) or "name" not in table:
            raise self._file.error_at(f"[workload] needs a name, one of: {', '.join(WORKLOADS)}", "workload")
        name, settings = table["name"], {key: value for key, value in table.items() if key != "name"}
        if not isinstance(name, str) or name not in WORKLOADS:
            raise self._file.error_at(f"no workload {name!r}{did_you_mean(str(name), WORKLOADS)}", "workload", "name")
        kind = WORKLOADS[name]
        types = {each.name: each.type for each in msgspec.structs.fields(kind)}
        self._file.reject_unknown(settings, types, "workload")
        for key, value in settings.items():
            try:
                msgspec.convert(value, types[key])
            except msgspec.ValidationError as error:
                raise self._file.error_at(f"{key} = {value!r}: {error}", "workload", key) from None
        return name, kind(**settings)

    def _faults(self, tables: Any) -> Iterator[Recurring]:
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise self._file.error_at("a fault is written as a table [[fault]]", "fault")
        for number, table in enumerate(tables):
            yield self._fault(table, ("fault", number))

    def _fault(self, table: dict[str, Any], place: tuple[str | int, ...]) -> Recurring:
        name = table.get("kind")
        if not isinstance(name, str) or name not in faults.KINDS:
            what = (
                did_you_mean(str(name), faults.KINDS) if "kind" in table else f"; there are: {', '.join(faults.KINDS)}"
            )
            raise self._file.error_at(f"kind = {name!r} is no fault{what}", *place, "kind")
        settings = {one.name: one for one in faults.KINDS[name].settings}
        self._file.reject_unknown(table, ("kind", "target", "at_s", "for_s", "every_s", *settings), *place)
        every_s = self._span(table["every_s"], "every_s", *place, "every_s") if "every_s" in table else None
        if every_s and every_s[0] < SHORTEST_PERIOD_S:
            raise self._wrong("every_s", table["every_s"], f"at least {SHORTEST_PERIOD_S:g}", *place, "every_s")
        return Recurring(
            kind=name,
            targets=self._texts(table["target"], "target", *place, "target") if "target" in table else (),
            at_s=self._span(table.get("at_s", 0), "at_s", *place, "at_s"),
            for_s=self._span(table.get("for_s", 0), "for_s", *place, "for_s"),
            every_s=every_s,
            settings={key: self._choice(name, settings[key], table[key], place) for key in settings if key in table},
        )

    def _choice(self, kind: str, setting: Setting, value: Any, place: tuple[str | int, ...]) -> Choice:
        """What one setting may be, each value of it checked by the fault itself."""
        where = (*place, setting.name)
        text = isinstance(setting.default, str)
        found = (
            self._texts(value, setting.name, *where)
            if text
            else self._span(value, setting.name, *where, low=-INF, high=INF)
        )
        for each in found:
            try:
                setting.check(kind, each)
            except UsageError as error:
                raise self._file.error_at(str(error), *where) from None
        return found

    def _texts(self, value: Any, key: str, *place: str | int) -> tuple[str, ...]:
        listed = value if isinstance(value, list) else [value]
        if not listed or not all(isinstance(each, str) and each.strip() for each in listed):
            raise self._wrong(key, value, "a text, or a list of texts", *place)
        return tuple(listed)

    def _span(self, value: Any, key: str, *place: str | int, low: float = 0.0, high: float = LONGEST_S) -> Span:
        """One number or two. `nan` and `inf` are legal in TOML: the one is between no bounds, the other beyond all."""
        listed = value if isinstance(value, list) else [value, value]
        if len(listed) == 2 and all(type(each) in {int, float} for each in listed):
            first, last = listed
            if low <= first <= last <= high:
                return first, last
        raise self._wrong(key, value, f"a number from {low:g} to {high:g}, or two as [from, to]", *place)

    def _wrong(self, key: str, value: Any, wanted: str, *place: str | int) -> UsageError:
        return self._file.error_at(f"{key} = {value!r} is not {wanted}", *place)


def spread(failpoints: Sequence[str]) -> list[str]:
    """Those of one service as far from each other as can be: it needs the time to come back."""
    by_service: dict[str, list[str]] = {}
    for name in failpoints:
        by_service.setdefault(name.partition(":")[0], []).append(name)
    placed = [(rank / len(each), name) for each in by_service.values() for rank, name in enumerate(each)]
    return [name for _, name in sorted(placed)]


def _pick(choice: Choice, turn: int, rng: Random, failpoints: Sequence[str]) -> float | str:
    texts = [each for each in choice if isinstance(each, str)]
    if not texts:
        low, high = (each for each in choice if not isinstance(each, str))
        if isinstance(low, int) and isinstance(high, int):
            return rng.randint(low, high)
        return low if low == high else round(rng.uniform(low, high), 3)
    every = [text for each in texts for text in (failpoints if each == EACH else (each,))]
    return every[turn % len(every)] if every else EACH
