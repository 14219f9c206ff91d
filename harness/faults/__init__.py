"""The fault vocabulary: one file and one row in `KINDS` for each kind, and the functions that inject and end faults.

fault = faults.fault("partition", ("order<->stock",), at_s=5, for_s=3)    checked; UsageError
why = faults.refuse(runtime, fault)                                       before the run; None: it can be injected
begun, report = await faults.start(runtime, fault, rng)                   `any` is drawn now
await faults.end(runtime, begun)                                          idempotent
await faults.heal_all(runtime)                                            undoes all faults, also half-begun ones
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from random import Random

from harness.errors import EnvironmentFailure
from harness.faults import targets as target_names
from harness.faults.base import LONGEST_S, Fault, FaultKind, Setting, Value
from harness.faults.crash import Crash
from harness.faults.crash_at import CrashAt
from harness.faults.delay import Delay
from harness.faults.disk_full import DiskFull
from harness.faults.duplicate import Duplicate
from harness.faults.empty_restart import EmptyRestart
from harness.faults.loss import Loss
from harness.faults.lost_tail import LostTail
from harness.faults.partition import Partition
from harness.faults.pause import Pause
from harness.faults.poison import Poison
from harness.faults.power_cut import PowerCut
from harness.faults.reorder import Reorder
from harness.faults.restart import Restart
from harness.faults.skew import Skew
from harness.faults.slow import Slow
from harness.faults.slow_copy import SlowCopy
from harness.faults.stale_primary import StalePrimary
from harness.faults.two_electors import TwoElectors
from harness.runtimes.base import Breakable
from protocols.errors import UsageError

__all__ = [
    "KINDS",
    "LONGEST_S",
    "Fault",
    "FaultKind",
    "Setting",
    "Value",
    "aimed_at",
    "end",
    "fault",
    "heal_all",
    "kind",
    "refuse",
    "start",
]

_ALL: tuple[FaultKind, ...] = (
    Crash(),
    CrashAt(),
    Restart(),
    Pause(),
    Partition(),
    Delay(),
    Loss(),
    Slow(),
    LostTail(),
    PowerCut(),
    Skew(),
    Duplicate(),
    Reorder(),
    Poison(),
    DiskFull(),
    SlowCopy(),
    StalePrimary(),
    EmptyRestart(),
    TwoElectors(),
)
KINDS: Mapping[str, FaultKind] = {kind.name: kind for kind in _ALL}


def kind(name: str) -> FaultKind:
    """Return the fault kind of this name. Raises `UsageError` naming the known kinds."""
    if name not in KINDS:
        raise UsageError(f"no fault {name!r}; there are: {', '.join(KINDS)}")
    return KINDS[name]


def fault(
    name: str,
    targets: Iterable[str] | None = None,
    at_s: float = 0.0,
    for_s: float = 0.0,
    settings: Mapping[str, object] | None = None,
) -> Fault:
    """Return a checked fault with all defaults filled in; times are in seconds.

    Without `targets` it has those of its kind; an empty list is rejected. Raises `UsageError` naming the unknown kind or
    setting, or the value out of its bounds.
    """
    fault_kind = kind(name)
    names = fault_kind.default if targets is None else tuple(targets)
    if not names:
        raise UsageError(
            f"{name}: an empty list of targets means nothing; leave it out for: {', '.join(fault_kind.default)}"
        )
    given, known = settings or {}, {setting.name: setting for setting in fault_kind.settings}
    for key in given:
        if key not in known:
            raise UsageError(f"{name} has no setting {key!r}; it has: {', '.join(known) or 'none'}")
    for field, value in (("at_s", at_s), ("for_s", for_s)):
        # The type too: a bool is an int, and nan is within no bounds and in no message that a reader would understand.
        if type(value) not in (int, float) or not 0 <= value <= LONGEST_S:
            raise UsageError(f"{name}: {field}={value!r} is not a finite number from 0 to {LONGEST_S:g}")
    values = {setting.name: setting.check(name, given.get(setting.name, setting.default)) for setting in known.values()}
    return Fault(name, names, at_s, for_s, values)


def refuse(runtime: Breakable, fault: Fault) -> str | None:
    """Return why this runtime cannot inject this fault, in words; None if it can. The runtime must be up, and no fault begun."""
    fault_kind = kind(fault.kind)
    missing = sorted(fault_kind.needs - runtime.capabilities)
    if missing:
        return f"{fault.kind} needs {' and '.join(missing)}, which this runtime does not have"
    try:
        target_names.check(runtime, fault_kind.aim, fault.targets)
    except UsageError as error:
        return f"{fault.kind}: {error}"
    why = fault_kind.refuse(runtime, fault)
    return f"{fault.kind}: {why}" if why else None


def aimed_at(runtime: Breakable, fault: Fault) -> list[str]:
    """Return the nodes that a fault without `any` is aimed at, or its links, as `order-1->stock-1`.

    A fault need not meet them: a node may be down, and a failpoint may never be passed.
    """
    aim = kind(fault.kind).aim
    if aim == "links":
        return ["->".join(link) for link in target_names.links(runtime, fault.targets)]
    return [node.name for node in target_names.nodes(runtime, aim, fault.targets)]


async def start(runtime: Breakable, fault: Fault, rng: Random) -> tuple[Fault, str]:
    """Begin a fault. Return it with a drawn target for every `any`, as `end` needs it, and a report in words.

    Raises `EnvironmentFailure`, after the part that has begun was undone.
    """
    fault_kind = kind(fault.kind)
    begun = replace(fault, targets=target_names.draw(runtime, fault_kind.aim, fault.targets, rng))
    runtime.holds.begun.append(begun)  # before the start: `heal_all` must also undo a fault that was cancelled halfway
    try:
        report = await fault_kind.start(runtime, begun, rng)
        await runtime.settled()
    except BaseException:
        await end(runtime, begun)
        raise
    return begun, report


async def end(runtime: Breakable, fault: Fault) -> None:
    """End a fault that `start` returned; idempotent."""
    await kind(fault.kind).end(runtime, fault)
    if fault in runtime.holds.begun:
        runtime.holds.begun.remove(fault)
    await runtime.settled()


async def heal_all(runtime: Breakable) -> None:
    """End every fault; afterwards no node is paused or down, and no link, clock or message is disturbed.

    Nodes that were down may still be starting. Raises the first `EnvironmentFailure` after all other faults have ended.
    """
    failed: list[EnvironmentFailure] = []
    for begun in reversed(tuple(runtime.holds.begun)):
        try:
            await end(runtime, begun)
        except EnvironmentFailure as failure:
            failed.append(failure)
    runtime.holds.clear()
    await runtime.heal()
    if failed:
        raise failed[0]
