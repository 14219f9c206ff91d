"""The messages of two-phase commit (R*, section 2.1, in `machine.py`)."""

from msgspec import Struct


class Prepare(Struct, frozen=True, gc=False):
    """Coordinator to participant. ``home`` is the service that answers inquiries; ``priority_us``, ``horizon``: see Request."""

    txn: str
    home: str
    branch: str
    priority_us: int
    horizon: tuple[int, int]
    changes: tuple[tuple[str, int], ...]


class Vote(Struct, frozen=True, gc=False):
    """Participant to coordinator. ``why`` is empty for yes, else a ``Reason`` as text."""

    txn: str
    branch: str
    why: str


class Commit(Struct, frozen=True, gc=False):
    """Coordinator to participant: the decision."""

    txn: str
    branch: str


class Abort(Struct, frozen=True, gc=False):
    """Coordinator to participant: the other decision."""

    txn: str


class Ack(Struct, frozen=True, gc=False):
    """Participant to coordinator: the commit is durable here."""

    txn: str
    branch: str


class Inquiry(Struct, frozen=True, gc=False):
    """Participant in doubt to any instance of the coordinator's service. ``short``: it may have lost its COMMITTED."""

    txn: str
    branch: str
    short: bool = False


class Wound(Struct, frozen=True, gc=False):
    """Participant to the coordinator of a lock's holder: an older transaction needs the lock (wound-wait only)."""

    txn: str


MESSAGES = (Prepare, Vote, Commit, Abort, Ack, Inquiry, Wound)
