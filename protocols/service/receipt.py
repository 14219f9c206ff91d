"""What becomes of a message that a link has brought: carried out, or refused by the store."""

from collections.abc import Callable

from protocols.core import Event


class Receipt:
    """``open`` counts what of the message is still under way; once it is 0 the link is told, once.

    ``handled`` is called in any case, after ``rejected`` with the reason if the message cannot be carried out.
    """

    __slots__ = ("event", "handled", "open", "rejected", "why")

    def __init__(self, event: Event, handled: Callable[[], None], rejected: Callable[[str], None]) -> None:
        self.event = event
        self.handled = handled
        self.rejected = rejected
        self.open = 1
        self.why = ""

    def close(self) -> None:
        self.open -= 1
        if not self.open:
            if self.why:
                self.rejected(self.why)
            self.handled()
