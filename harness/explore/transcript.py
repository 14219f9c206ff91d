"""A path through the search as a person reads it, and a way to walk one on purpose."""

from collections.abc import Iterable

from harness.explore.search import Search, Transition

_HOW = {
    "start": "a client checks out order {what}",
    "deliver": "receives {what}",
    "timer": "its timer {what} fires",
    "sweep": "looks for what is unfinished",
    "crash": "crashes",
    "deposit": "somebody adds to {what}",
    "anew": "somebody sets {what} anew",
    "renew": "somebody removes order {what} and makes another one of its number",
}


def render(path: Iterable[Transition]) -> str:
    """One paragraph a step: who it happens to, what, and what follows; a crash is said where it falls."""
    lines = []
    for number, step in enumerate(path, start=1):
        lines.append(f"{number:2}. {step.node}: {_HOW[step.kind].format(what=step.what)}")
        lines += [f"      {effect}" for effect in step.effects]
        if step.crashed:
            lines.append(f"      CRASH {step.crashed}")
    return "\n".join(lines) + "\n"


def walk(search: Search, choices: Iterable[str]) -> tuple[Transition, ...]:
    """The steps that ``choices`` name, one after the other: ``KIND NODE [BEGINNING OF WHAT] [! FAILPOINT]``.

    Raises ``LookupError`` with what was possible where a choice fits nothing.
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
            seen = sorted({f"{step.kind} {step.node} {step.what} ! {step.crashed}" for step, _ in possible})
            raise LookupError(f"{choice!r} fits nothing; possible: {seen}")
    return tuple(path)
