"""Standard streams that outlive their readers: the exit code of a command does not depend on the reader of its output.

A write to a pipe without a reader raises `BrokenPipeError` in the midst of a command, and again at the last flush of the
interpreter; either would replace the exit code. So the lowest layer catches the error, turns the descriptor into `/dev/null`,
and the command continues to its verdict. `failure` returns any other error of a write (a full disk), which makes the output
incomplete and changes the exit code.
"""

import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STANDARD = (0, 1, 2)


class Outlet(io.RawIOBase):
    """The byte stream of one descriptor, which discards data after the first failed write. `error`: the reason, or None."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.error: OSError | None = None

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: "ReadableBuffer", /) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # another process made the shared pipe non-blocking
                select.select((), (self._descriptor,), ())
            except OSError as error:
                self.error = error
                _into_nothing(self._descriptor)
                return len(memoryview(data).cast("B"))


_outlets: dict[str, Outlet] = {}


def outlive_readers() -> None:
    """Replace stdout and stderr of this process by such streams; replaced ones (a test's) stay.

    A descriptor that was closed before the start becomes `/dev/null`: else the next opened file would take its number, and
    the output of others.
    """
    for descriptor in STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            _into_nothing(descriptor)
    sys.stdout, sys.stderr = _outliving("stdout", 1), _outliving("stderr", 2)


def _outliving(name: str, descriptor: int) -> TextIO:
    current: TextIO | None = getattr(sys, name)
    if current is None:
        return _text(name, descriptor, "utf-8", "backslashreplace")
    if current is not getattr(sys, f"__{name}__"):
        return current
    current.flush()
    return _text(name, descriptor, current.encoding, current.errors or "strict")


def _text(name: str, descriptor: int, encoding: str, errors: str) -> TextIO:
    outlet = _outlets[name] = Outlet(descriptor)
    lines = name == "stderr" or outlet.isatty()
    return io.TextIOWrapper(io.BufferedWriter(outlet), encoding=encoding, errors=errors, line_buffering=lines)


def reader_gone() -> bool:
    """Return whether a write has shown that stdout has no reader, so that a command without another purpose may end."""
    outlet = _outlets.get("stdout")
    return outlet is not None and outlet.error is not None


def failure() -> OSError | None:
    """Flush, and return the error that made the output incomplete; a reader that closed the pipe is none."""
    sys.stdout.flush()
    sys.stderr.flush()
    outlet = _outlets.get("stdout")
    error = outlet.error if outlet else None
    return None if error is None or error.errno == errno.EPIPE else error


def _into_nothing(descriptor: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    if nothing != descriptor:
        os.dup2(nothing, descriptor)
        os.close(nothing)
