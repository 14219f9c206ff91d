"""Edits of a history that holds: each changes one thing, as a broken shop, a broken recorder or a stranger's hand would."""

from collections.abc import Callable
from typing import Any

from tests.checkers.history_builder import HistoryBuilder, a_run, changed

Edit = Callable[[], HistoryBuilder]


def nth(builder: HistoryBuilder, op: str, *args: Any, number: int = 0) -> int:
    """The place of the operation; `number` -1 is the last, which is that of the final phase if it is a read."""
    places = [
        place for place, each in enumerate(builder.operations) if each.op == op and each.args[: len(args)] == list(args)
    ]
    return places[number]


def answer(op: str, *args: Any, number: int = 0, builder: Callable[[], HistoryBuilder] = a_run, **fields: Any) -> Edit:
    """Change fields of one answer; values of `fields` replace the old ones, or are functions of them."""

    def edit() -> HistoryBuilder:
        made = builder()
        place = nth(made, op, *args, number=number)
        value = dict(made.operations[place].value)
        for name, new in fields.items():
            value[name] = new(value[name]) if callable(new) else new
        made.operations[place] = changed(made.operations[place], value=value)
        return made

    return edit


def both(op: str, *args: Any, **fields: Any) -> Edit:
    """The same change in every answer to this read."""

    def edit() -> HistoryBuilder:
        made = a_run()
        for place, each in enumerate(made.operations):
            if each.op == op and each.args == list(args):
                value = {**each.value, **{name: new(each.value[name]) for name, new in fields.items()}}
                made.operations[place] = changed(each, value=value)
        return made

    return edit


def outcome(
    what: str, /, *names: Any, number: int = 0, builder: Callable[[], HistoryBuilder] = a_run, **changes: Any
) -> Edit:
    """Another outcome, status or call of one operation."""

    def edit() -> HistoryBuilder:
        made = builder()
        place = nth(made, what, *names, number=number)
        made.operations[place] = changed(made.operations[place], **changes)
        return made

    return edit


def steps(*edits: Callable[[HistoryBuilder], object], builder: Callable[[], HistoryBuilder] = a_run) -> Edit:
    def edit() -> HistoryBuilder:
        made = builder()
        for each in edits:
            each(made)
        return made

    return edit


def middle(play: Callable[[HistoryBuilder], object]) -> Callable[[], HistoryBuilder]:
    return lambda: a_run(middle=play)


def plus(amount: int) -> Callable[[int], int]:
    return lambda old: old + amount


def read_of(op: str, name: str, number: int = -1, **fields: Callable[[Any], Any]) -> Callable[[HistoryBuilder], object]:
    """As a step: other fields in one answer."""

    def step(builder: HistoryBuilder) -> None:
        place = nth(builder, op, name, number=number)
        old = builder.operations[place]
        builder.operations[place] = changed(
            old, value={**old.value, **{key: new(old.value[key]) for key, new in fields.items()}}
        )

    return step
