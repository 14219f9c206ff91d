"""Outcomes: the answer to the client of a transaction, and the reason for it."""

from enum import StrEnum

from msgspec import Struct


class Decision(StrEnum):
    """The decision on a request, as the client receives it."""

    COMMITTED = "committed"
    REFUSED = "refused"  # it certainly did not happen, and a repetition at once would change nothing
    CONFLICT = "conflict"  # it certainly did not happen; contention is the only reason, so a repetition may succeed
    ACCEPTED = "accepted"  # it is durable and will commit or be compensated; the order shows later which


class Reason(Struct, frozen=True, gc=False):
    """The reason why a transaction did not happen: a code, the key that it concerns, and the transaction that has that.

    As text, in records, messages and traces:

    - ``short:KEY``, ``over:KEY``, ``missing:KEY``, ``negative:KEY``, ``timeout``   a repetition would change nothing
    - ``locked:KEY:HOLDER``, ``busy:HOLDER``, ``conflict:NAME``                     contention, the reason to repeat it

    A key may contain colons, a holder does not.
    """

    code: str = ""
    key: str = ""
    holder: str = ""

    @classmethod
    def parse(cls, text: str) -> "Reason":
        """Return the reason that was written as ``text``."""
        code, _, detail = text.partition(":")
        if code == "busy":
            return cls(code, holder=detail)
        if code == "locked":
            key, _, holder = detail.rpartition(":")
            return cls(code, key, holder)
        return cls(code, detail)

    def __str__(self) -> str:
        return ":".join(filter(None, (self.code, self.key, self.holder)))

    @property
    def is_contention(self) -> bool:
        """Return whether another transaction is the only reason."""
        return self.code in ("locked", "busy", "conflict")


class Outcome(Struct, frozen=True, gc=False):
    """The answer to the client. ``reason`` is empty for a commit and for an accepted checkout."""

    decision: Decision
    reason: Reason = Reason()

    @classmethod
    def rejected(cls, why: str) -> "Outcome":
        """Return the outcome of a transaction that did not happen: a conflict where contention is the only reason."""
        reason = Reason.parse(why)
        return cls(Decision.CONFLICT if reason.is_contention else Decision.REFUSED, reason)
