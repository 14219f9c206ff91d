"""The rules of a well-formed history. No checker judges an ill-formed one: its verdict is unknown.

The recorder (`harness.history.recorder`) and the run (`harness.run.engine`) keep each of these rules, so
a history that breaks one was altered, or written by another program.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from harness.checkers.formatting import abbreviate, describe, seconds
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
"""The operations of the public contract with their numbers of arguments."""

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
"""The positions of the arguments that are numbers."""


def ill_formed(history: History) -> list[str]:
    """Return the broken rules; empty for a well-formed history."""
    return [complaint for rule in _RULES for complaint in rule(history)]


NAMES = ("protocol", "scenario", "workload", "durability", "runtime")


def _header(history: History) -> Iterator[str]:
    nameless = [name for name in NAMES if not getattr(history.header, name).strip()]
    if nameless:
        yield f"the first line has no {', '.join(nameless)}"


def _times(history: History) -> Iterator[str]:
    backwards = [operation for operation in history.operations if operation.completed_ns < operation.invoked_ns]
    if backwards:
        yield f"operations were completed before they began: {abbreviate(map(describe, backwards))}"


def _processes(history: History) -> Iterator[str]:
    """A process executes one operation at a time, and none after an unknown outcome.

    An operation of unknown outcome may still take effect; its process would overlap itself. The convention is Jepsen's.
    """
    by_process: dict[int, list[Operation]] = {}
    for operation in history.operations:
        by_process.setdefault(operation.process, []).append(operation)
    overlaps, reused = [], []
    for mine in by_process.values():
        mine.sort(key=lambda operation: (operation.invoked_ns, operation.completed_ns))
        overlaps += [
            (earlier, later)
            for earlier, later in pairwise(mine)
            if later.invoked_ns < earlier.completed_ns or earlier == later
        ]
        reused += [later for earlier, later in pairwise(mine) if earlier.outcome == "unknown"]
    if overlaps:
        earlier, later = overlaps[0]
        yield (
            f"{len(overlaps)} times a process ran two operations at once: '{describe(earlier)}' and '{describe(later)}', "
            f"at {seconds(history, later.invoked_ns)}"
        )
    if reused:
        yield f"{len(reused)} operations follow one of unknown outcome in the same process: {abbreviate(map(describe, reused))}"


def _calls(history: History) -> Iterator[str]:
    wrong = [operation for operation in history.operations if not _is_call(operation)]
    if wrong:
        yield f"{len(wrong)} operations are none of the contract's: {abbreviate(map(describe, wrong))}"


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
    """The outcome follows from the status: 2xx is ok, unless 202; 4xx is fail. A malformed 2xx is unknown."""
    wrong = [operation for operation in history.operations if not _fits(operation)]
    if wrong:
        mismatches = (f"{describe(operation)} with status {operation.status}" for operation in wrong)
        yield f"{len(wrong)} outcomes are not those of their status: {abbreviate(mismatches)}"


def _fits(operation: Operation) -> bool:
    status = operation.status
    if status is None or operation.outcome == "unknown":
        return True
    return 200 <= status < 300 and status != 202 if operation.outcome == "ok" else 400 <= status < 500


def _ending(history: History) -> Iterator[str]:
    """No operation changes the shop during the final reads, which would miss it."""
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
        yield f"{len(late)} operations changed the shop during the final reads: {abbreviate(map(describe, late))}"


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
