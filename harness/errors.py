"""Errors that every package of the harness may raise, and the limits of the system by the numbers of its errors."""

import errno


class EnvironmentFailure(Exception):
    """A failure of the machine or of a program on it; the message names the failure and the way out."""


EXHAUSTED = {
    errno.EADDRNOTAVAIL: "no local port is left for a connection: end the programs that hold them, or widen "
    "`sysctl net.ipv4.ip_local_port_range`",
    errno.EMFILE: "this process may open no more files: raise `ulimit -n`",
    errno.ENFILE: "this system may open no more files: see `sysctl fs.file-max`",
    errno.EAGAIN: "no further process or thread may be started: raise `ulimit -u`, or end others of this user",
}


def exhausted(error: BaseException, *, starts: bool = False) -> str:
    """Describe an error of a limit that was reached, with the way out; return an empty text for any other error.

    `starts`: the error is one of starting a process, where EAGAIN means a limit too.
    """
    number = error.errno or 0 if isinstance(error, OSError) else 0
    return EXHAUSTED.get(number, "") if starts or number != errno.EAGAIN else ""
