"""No key of a scenario takes what is no finite number, no text or no list: a walk over all keys of the file."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness import faults
from harness.faults import KINDS
from harness.run.scenarios import Scenario, load, packaged, read
from harness.workload import WORKLOADS
from protocols.errors import UsageError

TOP = {
    "summary": '"A test"', "duration_s": "10", "durability": '"always"', "workers": "2", "time_limit_s": "5",
    "respawn_after_s": "1", "copies": '"sentinel"', "must_hold": '["atomicity"]',
}  # fmt: skip
NOTHING = (
    "nan", "inf", "-inf", "1e308", "-1e308", "1e400", "9" * 400, '""', '" "', "[]", "{}", "[nan, nan]", "[0.0, inf]",
    "[nan, 1.0]", "[[]]", "[{}]", '[""]', "[1, 2, 3]", "2020-01-01", "12:00:00", "[true, true]",
)  # fmt: skip
"""Nothing of this is a value of any key."""

AIMED = {"nodes": "order", "services": "order", "drained": "gateway", "stores": "order-store", "links": "order->stock"}


def keys() -> Iterator[tuple[str, str]]:
    """(header of the table, key) of everything that a scenario can say."""
    yield from (("", key) for key in TOP)
    for name, workload in WORKLOADS.items():
        yield from ((f'[workload]\nname = "{name}"', one.name) for one in msgspec.structs.fields(workload))
    yield "[workload]", "name"
    yield "[[fault]]", "kind"
    for name, kind in KINDS.items():
        for key in ("target", "at_s", "for_s", "every_s", *(setting.name for setting in kind.settings)):
            yield f'[[fault]]\nkind = "{name}"', key


def document(table: str, line: str, key: str = "") -> str:
    """A scenario that is whole but for this line."""
    top = "".join(f"{name} = {value}\n" for name, value in TOP.items() if name != key)
    if not table:
        return f'{line}\n{top}[workload]\nname = "checkout"\n'
    load = "" if table.startswith("[workload]") else '[workload]\nname = "checkout"\n'
    return f"{top}{load}{table}\n{line}\n"


@pytest.mark.parametrize(
    "table", [*dict.fromkeys(table for table, _ in keys())], ids=lambda part: part.replace("\n", " ") or "top"
)
def test_a_value_that_means_nothing_is_refused_with_its_line(table: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    found = [(key, value) for of, key in keys() if of == table for value in NOTHING]
    for key, value in found:
        if (key, value) == ("must_hold", "[]"):  # nothing must hold: that is said
            continue
        text = document(table, f"{key} = {value}", key)
        file.write_text(text)
        line = text[: text.index(f"{key} = {value}")].count("\n") + 1
        with pytest.raises(UsageError, match=rf"mine\.toml:{line}: ") as message:
            read(file)
        assert len(str(message.value)) < 1_000


def test_the_walk_starts_from_scenarios_that_are_right(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    for name, kind in KINDS.items():
        file.write_text(document(f'[[fault]]\nkind = "{name}"', f'target = "{AIMED[kind.aim]}"'))
        assert read(file).faults[0].kind == name
    for name in WORKLOADS:
        file.write_text(document(f'[workload]\nname = "{name}"', "clients = 2"))
        assert read(file).workload.clients == 2
    assert all(isinstance(load(name), Scenario) for name in packaged())


@pytest.mark.parametrize("text", ["x = " + "[" * 2_000 + "]" * 2_000, "x = " + "9" * 5_000, "x = 1e", "\0", "x = {"])
def test_a_file_that_no_parser_takes_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UsageError, match=r"mine\.toml:1: not valid TOML"):
        read(tmp_path / "mine.toml")


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_made_by_hand_takes_no_more_than_a_file(kind: str) -> None:
    numbers = [setting.name for setting in KINDS[kind].settings if not isinstance(setting.default, str)]
    for value in (float("nan"), float("inf"), -float("inf"), 1e308, -1e9, 10**400, True, "1", None):
        for given in [{"at_s": value}, {"for_s": value}, *({"settings": {name: value}} for name in numbers)]:
            with pytest.raises(UsageError, match=f"^{kind}: "):
                faults.fault(kind, **given)
