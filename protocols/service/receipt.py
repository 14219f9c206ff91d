"""The fate of a message that a link has delivered: carried out, or refused by the store."""

from collections.abc import Callable

from protocols.core import Event


class Receipt:
    """A count of the effects of a message that are under way, `open`, and the callbacks for its end.

    Once `open` is 0, `handled` is called, and before it `rejected` with the reason if the message cannot be carried out.
    """

    __slots__ = ("event", "handled", "open", "rejected", "why")

    def __init__(self, event: Event, handled: Callable[[], None], rejected: Callable[[str], None]) -> None:
        self.event = event
        self.handled = handled
        self.rejected = rejected
        self.open = 1
        self.why = ""

    def close(self) -> None:
        """End one effect of the message."""
        self.open -= 1
        if not self.open:
            if self.why:
                self.rejected(self.why)
            self.handled()
