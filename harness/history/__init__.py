"""The history of one run: every operation of every client, and every event of the harness.

`format` defines the lines of the file, `recorder` writes them to a file or keeps them in memory, `reader` reads the file, and
`spans` has the trace of each transaction through the services.
"""

from harness.history.format import VERSION, Event, Footer, Header, HistoryError, Operation, Outcome, RecordedClaims
from harness.history.reader import History, gc_paused, load
from harness.history.recorder import FileRecorder, Listener, MemoryRecorder, Pending, Processes, Recorder

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
    "gc_paused",
    "load",
]
