"""Scenarios: a workload, its faults, and the properties that must hold; read from TOML.

    summary = "The stock service dies now and then"
    duration_s = 12             # duration of the load
    durability = "everysec"     # or "always"
    workers = 1                 # processes of each service
    copies = 1                  # servers of each store, 1 or 3; or "sentinel" or "cluster", by whose means
    gateways = 1                # gateway processes behind the one address
    brokers = 1                 # nodes of the broker, 1 or 3
    clients_repeat = false      # whether clients send a request whose connection broke again, with the same idempotency key
    must_hold = ["isolation"]   # checkers without which `holds` would prove nothing: they must have operations to judge;
                                # `availability` makes a failed request a violation, which no protocol excludes

    [workload]
    name = "checkout"           # the other keys are its settings
    rate_per_s = 200

    [[fault]]
    kind = "crash"
    target = ["stock", "any-store"]     # a list of texts is taken in turn; "broker?": only if there is a broker
    at_s = 2.0
    for_s = [0.5, 1.5]                  # two numbers are a range, drawn anew each time; 0: until the load ends
    every_s = 4                         # the period, until the load ends; without it the fault comes once

The other keys of a fault are the settings of its kind. The word `each` for a setting that names a failpoint stands for all
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
from harness.runtimes.deployment.spec import BROKER_NODES, MAX_GATEWAYS
from harness.toml_file import TomlFile, did_you_mean
from harness.workload import WORKLOADS
from harness.workload.base import Workload, stream
from protocols.copies.replication import NAMES, CopiesValue, parse
from protocols.errors import UsageError

DEFAULT = "kill-one-at-a-time"
EACH = "each"
IF_THERE = "?"
INF = float("inf")
SHORTEST_PERIOD_S = 0.05

Span = tuple[float, float]
"""A range (from, to) of which a value is drawn; a range of two equal numbers draws none. Whole numbers draw a whole number."""

Choice = tuple[str, ...] | Span


@dataclass(frozen=True, slots=True)
class Recurring:
    """One `[[fault]]`, from which its occurrences are drawn. `settings` are as in the file: texts in turn, or a range."""

    kind: str
    targets: tuple[str, ...]
    at_s: Span
    for_s: Span
    every_s: Span | None
    settings: Mapping[str, Choice]

    def resolve(self, brokers: Sequence[str]) -> "Recurring | None":
        """Return the fault with the names of the broker's nodes in place of `broker?`; None if no target is left."""
        named = [brokers if name.endswith(IF_THERE) else (name,) for name in self.targets]
        targets = tuple(name for names in named for name in names)
        # A fault without targets in the file has those of its kind: it must not become one that lost all its targets.
        return replace(self, targets=targets) if targets or not self.targets else None

    def occur(self, duration_s: float, rng: Random, failpoints: Sequence[str]) -> Iterator[Fault]:
        """Yield each occurrence of the fault before the load ends.

        The draws come in a fixed order (settings, duration, period): a replayed seed has to give the same schedule. Targets and
        texts are taken in turn and not drawn, so that a short run meets all of them.
        """
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
    """A checked scenario. `text` is the content of its file, for the run folder."""

    name: str
    summary: str
    workload_name: str
    workload: Workload
    duration_s: float = 15.0
    durability: str = "everysec"
    workers: int = 1
    copies: CopiesValue = 1
    gateways: int = 1
    brokers: int = 1
    clients_repeat: bool = False
    time_limit_s: float = 10.0
    respawn_after_s: float = 0.5
    must_hold: tuple[str, ...] = ()
    faults: tuple[Recurring, ...] = ()
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Raise `UsageError` for a load that would never begin or never end; `Spec.check` checks the other settings."""
        if not 0 < self.duration_s <= LONGEST_S:
            raise UsageError(f"duration_s={self.duration_s!r} is not above 0 and at most {LONGEST_S:g}")

    def schedule(self, seed: int, failpoints: Sequence[str] = (), brokers: Sequence[str] = ()) -> list[Fault]:
        """Return all faults of one run, in the order of time.

        `failpoints` are those for which `each` stands; `brokers` are the nodes of the deployment's broker.
        """
        failpoints = spread(failpoints)
        occurrences = [
            (fault.at_s, number, fault)
            for number, recurring in enumerate(self.faults)
            for fault in self._occurrences(seed, number, recurring, failpoints, brokers)
        ]
        # By time, then by place in the file: faults themselves have no order, and their settings may be of different types.
        return [fault for _, _, fault in sorted(occurrences, key=lambda occurrence: occurrence[:2])]

    def never_due(self, seed: int, brokers: Sequence[str] = ()) -> Iterator[tuple[Recurring, str]]:
        """Yield each fault without an occurrence in `schedule`, with the reason."""
        for number, recurring in enumerate(self.faults):
            if recurring.resolve(brokers) is None:
                yield recurring, "there is no broker"
            elif next(self._occurrences(seed, number, recurring, (), brokers), None) is None:
                yield (
                    recurring,
                    f"it is due {recurring.at_s[0]:g} s after the start at the earliest, of a load of {self.duration_s:g} s",
                )

    def _occurrences(
        self, seed: int, number: int, recurring: Recurring, failpoints: Sequence[str], brokers: Sequence[str]
    ) -> Iterator[Fault]:
        resolved = recurring.resolve(brokers)
        if resolved is not None:
            # A stream for each `[[fault]]`: a change of one fault, or one fewer for lack of a broker, keeps the draws of others.
            yield from resolved.occur(self.duration_s, stream(seed, f"faults:{number}"), failpoints)


def packaged() -> dict[str, Path]:
    """Return the files of the scenarios of wdm itself, by name."""
    folder = Path(str(files("scenarios")))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load(name: str) -> Scenario:
    """Load a packaged scenario by name, or any scenario by its path. Raises `UsageError` with file, line and key."""
    known = packaged()
    if name in known:
        return read(known[name])
    if name.endswith(".toml") or Path(name).is_file():
        return read(Path(name))
    raise UsageError(f"no scenario {name!r}{did_you_mean(name, known)}; or name a file that ends in .toml")


def read(path: Path) -> Scenario:
    """Read the scenario in a file. Raises `UsageError` with file, line and key."""
    return _Reader(TomlFile(path, "scenario")).scenario()


class _Reader:
    """A reader of one file, whose errors name file, line and key."""

    def __init__(self, file: TomlFile) -> None:
        self._file = file

    def scenario(self) -> Scenario:
        document = self._file.document
        known = (
            "summary",
            "duration_s",
            "durability",
            "workers",
            "copies",
            "gateways",
            "brokers",
            "clients_repeat",
            "time_limit_s",
            "respawn_after_s",
            "must_hold",
        )
        self._file.reject_unknown(document, (*known, "workload", "fault"))
        plain = {key: document[key] for key in known if key in document}
        for key, value in plain.items():
            self._check(key, value)
        if "summary" not in plain:
            raise self._file.error_at("summary is missing: one line about the faults", "summary")
        name, workload = self._workload(document.get("workload", {}))
        return Scenario(
            name=self._file.path.stem,
            workload_name=name,
            workload=workload,
            faults=tuple(self._faults(document.get("fault", []))),
            text=self._file.text,
            **{**plain, "must_hold": tuple(plain.get("must_hold", ()))},
        )

    # ------------------------------------------------------------ inside

    def _check(self, key: str, value: Any) -> None:
        """Raise `UsageError` if the value does not fit one of the plain keys at the top."""
        bounds: dict[str, Span] = {
            "duration_s": (0.1, LONGEST_S),
            "time_limit_s": (0.1, LONGEST_S),
            "respawn_after_s": (0.01, LONGEST_S),
            "workers": (1, 64),
            "gateways": (1, MAX_GATEWAYS),
            "brokers": (1, BROKER_NODES),
        }
        if key in bounds:
            low, high = self._span(value, key, key)
            if (
                low != high
                or not bounds[key][0] <= low <= bounds[key][1]
                or (key in ("workers", "gateways", "brokers") and type(value) is float)
            ):
                raise self._error(key, value, f"a number from {bounds[key][0]:g} to {bounds[key][1]:g}", key)
        elif key == "copies":
            try:
                parse(value)
            except UsageError:
                raise self._error(key, value, f"one of: {NAMES}", key) from None
        elif key == "summary" and (not isinstance(value, str) or not value.strip() or "\n" in value):
            raise self._error(key, value, "one line of text", key)
        elif key == "clients_repeat" and not isinstance(value, bool):
            raise self._error(key, value, "true or false", key)
        elif key == "durability" and value not in ("everysec", "always"):
            raise self._error(key, value, "'everysec' or 'always'", key)
        elif key == "must_hold" and not (isinstance(value, list) and all(name in [*CHECKERS] for name in value)):
            raise self._error(key, value, f"a list of: {', '.join(CHECKERS)}", key)

    def _workload(self, table: Any) -> tuple[str, Workload]:
        if not isinstance(table, dict) or "name" not in table:
            raise self._file.error_at(f"[workload] needs a name, one of: {', '.join(WORKLOADS)}", "workload")
        name, settings = table["name"], {key: value for key, value in table.items() if key != "name"}
        if not isinstance(name, str) or name not in WORKLOADS:
            raise self._file.error_at(f"no workload {name!r}{did_you_mean(str(name), WORKLOADS)}", "workload", "name")
        kind = WORKLOADS[name]
        types = {setting.name: setting.type for setting in msgspec.structs.fields(kind)}
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
            hint = (
                did_you_mean(str(name), faults.KINDS) if "kind" in table else f"; there are: {', '.join(faults.KINDS)}"
            )
            raise self._file.error_at(f"kind = {name!r} is no fault{hint}", *place, "kind")
        settings = {setting.name: setting for setting in faults.KINDS[name].settings}
        self._file.reject_unknown(table, ("kind", "target", "at_s", "for_s", "every_s", *settings), *place)
        every_s = self._span(table["every_s"], "every_s", *place, "every_s") if "every_s" in table else None
        if every_s and every_s[0] < SHORTEST_PERIOD_S:
            raise self._error("every_s", table["every_s"], f"at least {SHORTEST_PERIOD_S:g}", *place, "every_s")
        return Recurring(
            kind=name,
            targets=self._texts(table["target"], "target", *place, "target") if "target" in table else (),
            at_s=self._span(table.get("at_s", 0), "at_s", *place, "at_s"),
            for_s=self._span(table.get("for_s", 0), "for_s", *place, "for_s"),
            every_s=every_s,
            settings={key: self._choice(name, settings[key], table[key], place) for key in settings if key in table},
        )

    def _choice(self, kind: str, setting: Setting, value: Any, place: tuple[str | int, ...]) -> Choice:
        """Return the values of one setting, each checked by the fault kind."""
        where = (*place, setting.name)
        text = isinstance(setting.default, str)
        choice = (
            self._texts(value, setting.name, *where)
            if text
            else self._span(value, setting.name, *where, low=-INF, high=INF)
        )
        for alternative in choice:
            try:
                setting.check(kind, alternative)
            except UsageError as error:
                raise self._file.error_at(str(error), *where) from None
        return choice

    def _texts(self, value: Any, key: str, *place: str | int) -> tuple[str, ...]:
        listed = value if isinstance(value, list) else [value]
        if not listed or not all(isinstance(text, str) and text.strip() for text in listed):
            raise self._error(key, value, "a text, or a list of texts", *place)
        return tuple(listed)

    def _span(self, value: Any, key: str, *place: str | int, low: float = 0.0, high: float = LONGEST_S) -> Span:
        """Return a range from one number or two. The bounds also reject `nan` and `inf`, which are legal in TOML."""
        listed = value if isinstance(value, list) else [value, value]
        if len(listed) == 2 and all(type(number) in {int, float} for number in listed):
            first, last = listed
            if low <= first <= last <= high:
                return first, last
        raise self._error(key, value, f"a number from {low:g} to {high:g}, or two as [from, to]", *place)

    def _error(self, key: str, value: Any, wanted: str, *place: str | int) -> UsageError:
        return self._file.error_at(f"{key} = {value!r} is not {wanted}", *place)


def spread(failpoints: Sequence[str]) -> list[str]:
    """Order failpoints so that those of one service are far apart: the service needs the time between them to come back."""
    by_service: dict[str, list[str]] = {}
    for name in failpoints:
        by_service.setdefault(name.partition(":")[0], []).append(name)
    placed = [(rank / len(names), name) for names in by_service.values() for rank, name in enumerate(names)]
    return [name for _, name in sorted(placed)]


def _pick(choice: Choice, turn: int, rng: Random, failpoints: Sequence[str]) -> float | str:
    """Return the text of this turn, or draw a number; a range of one number draws none."""
    texts = [text for text in choice if isinstance(text, str)]
    if not texts:
        low, high = (number for number in choice if not isinstance(number, str))
        if isinstance(low, int) and isinstance(high, int):
            return rng.randint(low, high)
        return low if low == high else round(rng.uniform(low, high), 3)
    alternatives = [name for text in texts for name in (failpoints if text == EACH else (text,))]
    # Without failpoints (`never_due` has none) the word itself: only the time of the occurrence is of interest there.
    return alternatives[turn % len(alternatives)] if alternatives else EACH
