"""A client whose every word is recorded."""

from harness.history import Operation, Processes
from harness.history.recorder import Recorder
from harness.workload.base import Call
from harness.workload.client import LONGEST_WORDS, Caller

NO_SUCH_THING = frozenset({400, 404, 410, 422})
"""The answers by which a read says that there is nothing to read. Others (a lock, a store that is down) say nothing."""


IDS = ("user_id", "item_id", "order_id")


class Session:
    """Does one thing at a time; takes a new process number after an outcome that nobody knows.

    `do` raises `HistoryError` if the history cannot be written, and nothing because of what the shop answers.
    """

    def __init__(self, client: Caller, recorder: Recorder, processes: Processes) -> None:
        self._client = client
        self._recorder = recorder
        self._processes = processes
        self.process = processes.fresh()

    async def do(self, asked: Call, due_ns: int | None = None) -> Operation:
        pending = self._recorder.invoke(self.process, asked.op, *asked.args, due_ns=due_ns)
        heard = await self._client.call(asked.op, *asked.args)
        if heard.outcome == "ok":
            done = pending.ok(heard.value, heard.status)
        elif heard.outcome == "fail" and not (asked.op.startswith("find_") and heard.status not in NO_SUCH_THING):
            done = pending.fail(_refusal(asked, heard.value), heard.status)
        else:
            why = f"{heard.status or 'no answer'}: {str(_short(heard.value))[:LONGEST_WORDS]}"
            done = pending.unknown(why, heard.status)
        self.process = self._processes.after(done)
        return done


def _refusal(asked: Call, value: object) -> object:
    """Whole if it names another user, item or order than was asked for: the checkers shall see that."""
    asked_for = [str(arg) for arg in asked.args]
    ids = [value[name] for name in IDS if name in value] if isinstance(value, dict) else []
    return _short(value) if all(str(each) in asked_for for each in ids) else value


def _short(value: object) -> object:
    """A refusal is told, not archived: `{"error": "..."}` becomes its words."""
    told = value.get("error", value) if isinstance(value, dict) else value
    return told[:LONGEST_WORDS] if isinstance(told, str) else told
