"""The fault vocabulary: one file a kind, one row a kind in ``KINDS``, and the one door to all of them.

fault = faults.fault("partition", ("order<->stock",), at_s=5, for_s=3)    checked; UsageError
why = faults.refuse(runtime, fault)                                       before the run; None: it can be injected
begun, told = await faults.start(runtime, fault, rng)                     `any` is drawn now
await faults.end(runtime, begun)                                          idempotent
await faults.heal_all(runtime)                                            undoes everything, whatever happened
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from random import Random

from harness.errors import EnvironmentFailure
from harness.faults import targets as names
from harness.faults.base import LONGEST_S, Fault, FaultKind, Setting, Value
from harness.faults.crash import Crash
from harness.faults.crash_at import CrashAt
from harness.faults.delay import Delay
from harness.faults.disk_full import DiskFull
from harness.faults.duplicate import Duplicate
from harness.faults.loss import Loss
from harness.faults.lost_tail import LostTail
from harness.faults.partition import Partition
from harness.faults.pause import Pause
from harness.faults.poison import Poison
from harness.faults.power_cut import PowerCut
from harness.faults.reorder import Reorder
from harness.faults.skew import Skew
from harness.faults.slow import Slow
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
)
KINDS: Mapping[str, FaultKind] = {kind.name: kind for kind in _ALL}


def kind(name: str) -> FaultKind:
    """Raises ``UsageError`` naming the kinds there are."""
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
    """A checked fault with every default filled in. Raises ``UsageError`` naming what does not exist or does not fit.

    ``targets`` are the kind's default if there are None; an empty list names nothing, and is refused.
    """
    found = kind(name)
    aimed = found.default if targets is None else tuple(targets)
    if not aimed:
        raise UsageError(
            f"{name}: an empty list of targets means nothing; leave it out for: {', '.join(found.default)}"
        )
    known = {setting.name: setting for setting in found.settings}
    for given in settings or {}:
        if given not in known:
            raise UsageError(f"{name} has no setting {given!r}; it has: {', '.join(known) or 'none'}")
    for what, value in (("at_s", at_s), ("for_s", for_s)):
        if type(value) not in (int, float) or not 0 <= value <= LONGEST_S:  # nor is nan
            raise UsageError(f"{name}: {what}={value!r} is not a finite number from 0 to {LONGEST_S:g}")
    values = {one.name: one.check(name, (settings or {}).get(one.name, one.default)) for one in found.settings}
    return Fault(name, aimed, at_s, for_s, values)


def refuse(runtime: Breakable, fault: Fault) -> str | None:
    """Why this runtime cannot inject this fault, in words; None if it can. Known before the run, once it is up."""
    found = kind(fault.kind)
    missing = sorted(found.needs - runtime.capabilities)
    if missing:
        return f"{fault.kind} needs {' and '.join(missing)}, which this runtime does not have"
    try:
        names.check(runtime, found.aim, fault.targets)
    except UsageError as error:
        return f"{fault.kind}: {error}"
    why = found.refuse(runtime, fault)
    return f"{fault.kind}: {why}" if why else None


def aimed_at(runtime: Breakable, fault: Fault) -> list[str]:
    """The nodes that a fault whose ``any`` have been chosen is for; for a fault of links, these as ``order-1->stock-1``.

    What it is for need not be there to be met: a node may be down, a failpoint never passed.
    """
    aim = kind(fault.kind).aim
    if aim == "links":
        return ["->".join(wire) for wire in names.links(runtime, fault.targets)]
    return [node.name for node in names.nodes(runtime, aim, fault.targets)]


async def start(runtime: Breakable, fault: Fault, rng: Random) -> tuple[Fault, str]:
    """Begin a fault. Returns it with every ``any`` chosen, which is what ``end`` takes, and what there is to say about it.

    Raises ``EnvironmentFailure``, having undone what was begun.
    """
    found = kind(fault.kind)
    begun = replace(fault, targets=names.draw(runtime, found.aim, fault.targets, rng))
    runtime.holds.begun.append(begun)
    try:
        words = await found.start(runtime, begun, rng)
        await runtime.settled()
    except BaseException:
        await end(runtime, begun)
        raise
    return begun, words


async def end(runtime: Breakable, fault: Fault) -> None:
    """End a fault that ``start`` returned. Twice is as good as once."""
    await kind(fault.kind).end(runtime, fault)
    if fault in runtime.holds.begun:
        runtime.holds.begun.remove(fault)
    await runtime.settled()


async def heal_all(runtime: Breakable) -> None:
    """End every fault; afterwards no node is paused or down, and no link, clock or message is disturbed.

    Nodes that were down may still be starting. Raises ``EnvironmentFailure`` for what cannot be healed, after all the rest.
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
