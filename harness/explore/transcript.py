"""A path through the search as text, and a walk along chosen steps."""

from collections.abc import Iterable

from harness.explore.search import Search, Transition

STEPS = {
    "start": "a client checks out order {what}",
    "deliver": "receives {what}",
    "timer": "timer {what} fires",
    "sweep": "sweeps for unfinished transactions",
    "crash": "crashes",
    "conclude": "concludes the rejection of {what}",
    "deposit": "a deposit is added to {what}",
    "anew": "{what} is set anew",
    "renew": "order {what} is removed and another one of its number is created",
}


def render(path: Iterable[Transition]) -> str:
    """Return one paragraph for each step: the node, the event, its effects, and the crash, if any, at its place."""
    lines = []
    for number, step in enumerate(path, start=1):
        lines.append(f"{number:2}. {step.node}: {STEPS[step.kind].format(what=step.what)}")
        lines += [f"      {effect}" for effect in step.effects]
        if step.crashed:
            lines.append(f"      CRASH {step.crashed}")
    return "\n".join(lines) + "\n"


def walk(search: Search, choices: Iterable[str]) -> tuple[Transition, ...]:
    """Return the steps that ``choices`` name, in order: ``KIND NODE [BEGINNING OF WHAT] [! FAILPOINT]``.

    Raises ``LookupError`` with the possible steps where a choice matches none.
    """
    state, path = search.initial, []
    for choice in choices:
        named, _, failpoint = choice.partition(" ! ")
        kind, node, what = (*named.split(" ", 2), "", "")[:3]
        possible = list(search.successors(state))
        for step, after in possible:
            if (step.kind, step.node, step.crashed) == (kind, node, failpoint) and step.what.startswith(what):
                path.append(step)
                state = after
                break
        else:
            labels = sorted({f"{step.kind} {step.node} {step.what} ! {step.crashed}" for step, _ in possible})
            raise LookupError(f"{choice!r} matches no step; possible: {labels}")
    return tuple(path)
