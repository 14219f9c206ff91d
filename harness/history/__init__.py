"""The history of one run: every operation of every client, and every event of the harness.

`format` has the lines of the file, `recorder` writes them (or keeps them in memory), `reader` reads them back, and `spans` has
the trace of each transaction through the services.
"""

from harness.history.format import VERSION, Event, Footer, Header, HistoryError, Operation, Outcome, RecordedClaims
from harness.history.reader import History, load, uncollected
from harness.history.recorder import FileRecorder, Listener, MemoryRecorder, Pending, Processes

__all__ = [
    "VERSION",
    "Event",
    "FileRecorder",
    "Footer",
    "Header",
    "History",
    "HistoryError",
    "Listener",
    "MemoryRecorder",
    "Operation",
    "Outcome",
    "Pending",
    "Processes",
    "RecordedClaims",
    "Recorder",
    "load",
    "uncollected",
]
