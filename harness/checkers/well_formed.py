"""Whether a history can be one at all. A history that is ill-formed is judged by nobody: its verdict is unknown.

Each rule is one that the recorder keeps (`harness.history.recorder`) or that a run keeps (`harness.run.engine`), so
a history that breaks one was altered, or put together by something else.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from harness.checkers.formatting import describe, seconds, some
from harness.history import History, Operation

ARGUMENTS = {
    "create_user": 0,
    "add_funds": 2,
    "pay": 2,
    "find_user": 1,
    "init_users": 2,
    "create_item": 1,
    "add_stock": 2,
    "subtract_stock": 2,
    "find_item": 1,
    "init_items": 3,
    "create_order": 1,
    "add_item": 3,
    "remove_item": 2,
    "remove_order": 1,
    "checkout": 1,
    "find_order": 1,
    "init_orders": 4,
}
"""Operations of the public contract, and how many arguments each takes."""

NUMBERS = {
    "add_funds": (1,),
    "pay": (1,),
    "init_users": (0, 1),
    "create_item": (0,),
    "add_stock": (1,),
    "subtract_stock": (1,),
    "init_items": (0, 1, 2),
    "add_item": (2,),
    "init_orders": (0, 1, 2, 3),
}
"""Which arguments are numbers."""


def ill_formed(history: History) -> list[str]:
    """Why this cannot be the history of a run; empty if it can."""
    return [complaint for rule in _RULES for complaint in rule(history)]


NAMES = ("protocol", "scenario", "workload", "durability", "runtime")


def _header(history: History) -> Iterator[str]:
    nameless = [name for name in NAMES if not getattr(history.header, name).strip()]
    if nameless:
        yield f"the first line does not say which {', '.join(nameless)}"


def _times(history: History) -> Iterator[str]:
    backwards = [each for each in history.operations if each.completed_ns < each.invoked_ns]
    if backwards:
        yield f"operations were completed before they began: {some(map(describe, backwards))}"


def _processes(history: History) -> Iterator[str]:
    """A process does one thing at a time, and nothing after an outcome that is not known."""
    by_process: dict[int, list[Operation]] = {}
    for operation in history.operations:
        by_process.setdefault(operation.process, []).append(operation)
    overlaps, reused = [], []
    for mine in by_process.values():
        mine.sort(key=lambda operation: (operation.invoked_ns, operation.completed_ns))
        overlaps += [
            (one, other) for one, other in pairwise(mine) if other.invoked_ns < one.completed_ns or one == other
        ]
        reused += [other for one, other in pairwise(mine) if one.outcome == "unknown"]
    if overlaps:
        one, other = overlaps[0]
        yield (
            f"{len(overlaps)} times a process did two things at once: '{describe(one)}' and '{describe(other)}', "
            f"at {seconds(history, other.invoked_ns)}"
        )
    if reused:
        yield f"{len(reused)} operations follow one of unknown outcome in the same process: {some(map(describe, reused))}"


def _calls(history: History) -> Iterator[str]:
    wrong = [operation for operation in history.operations if not _is_call(operation)]
    if wrong:
        yield f"{len(wrong)} operations are none of the contract's: {some(map(describe, wrong))}"


def _is_call(operation: Operation) -> bool:
    args = operation.args
    return (
        ARGUMENTS.get(operation.op) == len(args)
        and all(isinstance(arg, str | int) and not isinstance(arg, bool) for arg in args)
        and all(_is_number(args[position]) for position in NUMBERS.get(operation.op, ()))
    )


def _is_number(arg: object) -> bool:
    return str(arg).removeprefix("-").isdecimal()


def _statuses(history: History) -> Iterator[str]:
    """The outcome follows from the status: 2xx happened, unless 202; 4xx did not. A 2xx that is malformed is unknown."""
    wrong = [operation for operation in history.operations if not _fits(operation)]
    if wrong:
        told = (f"{describe(operation)} with status {operation.status}" for operation in wrong)
        yield f"{len(wrong)} outcomes are not those of their status: {some(told)}"


def _fits(operation: Operation) -> bool:
    status = operation.status
    if status is None or operation.outcome == "unknown":
        return True
    return 200 <= status < 300 and status != 202 if operation.outcome == "ok" else 400 <= status < 500


def _ending(history: History) -> Iterator[str]:
    """Nothing is changed while the end is read: a read would not know of it."""
    final_ns = history.phase_ns("final")
    if final_ns is None:
        return
    late = [
        operation
        for operation in history.operations
        if not operation.op.startswith("find_")
        and (operation.invoked_ns >= final_ns or (operation.outcome != "unknown" and operation.completed_ns > final_ns))
    ]
    if late:
        yield f"{len(late)} operations changed something while the end was being read: {some(map(describe, late))}"


def _phases(history: History) -> Iterator[str]:
    names = [str(event.data.get("name")) for event in history.of_kind("phase")]
    if len(set(names)) < len(names):
        yield f"a phase began more than once: {', '.join(names)}"
    order = [name for name in PHASES if name in names]
    if order != [name for name in names if name in PHASES]:
        yield f"the phases are out of order: {', '.join(names)}"


PHASES = ("up", "setup", "load", "heal", "final")

_RULES: Sequence[Callable[[History], Iterator[str]]] = (
    _header,
    _times,
    _processes,
    _calls,
    _statuses,
    _ending,
    _phases,
)
