"""Numbers and failures of the contract, for the shops in Python."""

LIMIT = 2**53
LARGEST_BATCH = 1_000_000


class Rejected(Exception):
    """A request without any effect."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class Unknown(Exception):
    """A request whose effect the client cannot know."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


def number(text: str, most: int = LIMIT) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) > most:
        raise Rejected(f"{text[:30]!r} is no whole number from 0 to {most}")
    return int(text)
