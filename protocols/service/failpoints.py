"""Failpoints: the named points between two effects of a node, where a crash may fall.

A name is `SERVICE:before-EFFECT` or `SERVICE:after-EFFECT`, such as `order:after-persist:commit`. The search crashes nodes at
them in the model, the simulator in virtual time, and `--crash-at` in real processes.
"""

from collections.abc import Callable

from protocols.core import CancelTimer, Do, Effect, Persist, Reply, Send, SetTimer

Failpoint = Callable[[str], None]
"""Receives the name of each failpoint that the driver passes, and may end the process there."""


def effect_name(effect: Effect) -> str:
    """Return an effect's part of a failpoint's name: `persist:commit`, `send:vote`, `reply:committed`, `set-timer:resend`."""
    match effect:
        case Persist(command):
            return f"persist:{command.name}"
        case Do(command):
            return f"do:{command.name}"
        case Send(_, message):
            return f"send:{type(message).__name__.lower()}"
        case Reply(outcome):
            return f"reply:{outcome.decision}"
        case SetTimer(name):
            return f"set-timer:{name}"
        case CancelTimer(name):
            return f"cancel-timer:{name}"
