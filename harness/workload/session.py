"""Sessions: clients whose every call is recorded in the history."""

from harness.history import Operation, Processes
from harness.history.recorder import Recorder
from harness.workload.base import Call
from harness.workload.client import LONGEST_TEXT, Caller

NO_SUCH_THING = frozenset({400, 404, 410, 422})
"""The statuses of a read of an object that does not exist. Other statuses (a lock, a store that is down) prove nothing."""


IDS = ("user_id", "item_id", "order_id")


class Session:
    """One client of a run, with one call at a time and a new process number after each unknown outcome."""

    def __init__(self, client: Caller, recorder: Recorder, processes: Processes) -> None:
        self._client = client
        self._recorder = recorder
        self._processes = processes
        self.process = processes.fresh()

    async def do(self, call: Call, due_ns: int | None = None) -> Operation:
        """Make a call and record it. `due_ns` is its due time in an open loop, in nanoseconds of the history's clock.

        A rejected read is recorded as `unknown` unless its status proves that the object does not exist. Raises `HistoryError`
        if the history cannot be written; no answer of the shop raises.
        """
        pending = self._recorder.invoke(self.process, call.op, *call.args, due_ns=due_ns)
        response = await self._client.call(call.op, *call.args)
        if response.outcome == "ok":
            operation = pending.ok(response.value, response.status)
        elif response.outcome == "fail" and not (call.op.startswith("find_") and response.status not in NO_SUCH_THING):
            operation = pending.fail(_rejection(call, response.value), response.status)
        else:
            why = f"{response.status or 'no answer'}: {str(_shorten(response.value))[:LONGEST_TEXT]}"
            operation = pending.unknown(why, response.status)
        self.process = self._processes.after(operation)
        return operation


def _rejection(call: Call, value: object) -> object:
    """Return the body to record for a rejection: whole if it has an id that is no argument, which is for the checkers."""
    arguments = [str(argument) for argument in call.args]
    ids = [value[name] for name in IDS if name in value] if isinstance(value, dict) else []
    return _shorten(value) if all(str(name) in arguments for name in ids) else value


def _shorten(value: object) -> object:
    """Return the text of `{"error": "text"}`, cut to `LONGEST_TEXT` characters; any other value as it is."""
    text = value.get("error", value) if isinstance(value, dict) else value
    return text[:LONGEST_TEXT] if isinstance(text, str) else text
