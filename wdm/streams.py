"""Standard streams that outlive their readers: an exit code says how a command ended, whoever read its output.

A write to a pipe that nobody reads any more raises `BrokenPipeError` wherever the command happens to be, and once more when
the interpreter flushes at its end; either would replace the exit code. So the error is caught where the bytes leave, the
descriptor is turned into `/dev/null`, and the command goes on to its verdict. Any other error of a write (a full disk) is
kept for `failure`: then the output is not whole, which the reader is told by the exit code.
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
    """The bytes of one descriptor, into nothing once they cannot be written. `error` is why, None as long as they can."""

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
            except BlockingIOError:  # somebody shares the pipe with us and wants no waiting; we do
                select.select((), (self._descriptor,), ())
            except OSError as error:
                self.error = error
                _into_nothing(self._descriptor)
                return len(memoryview(data).cast("B"))


_outlets: dict[str, Outlet] = {}


def outlive_readers() -> None:
    """Make stdout and stderr of this process such streams; those that are not its own any more (a test's) stay.

    A descriptor that was closed before the start becomes `/dev/null`: else the next file that is opened would take its
    number, and with it what others print.
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
    """Whether nobody reads stdout any more, as far as a write has shown: what only prints may end."""
    outlet = _outlets.get("stdout")
    return outlet is not None and outlet.error is not None


def failure() -> OSError | None:
    """Why results did not get out, if that was anything but a reader who had seen enough. Flushes first."""
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
