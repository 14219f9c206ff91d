"""Errors that every part may raise."""


class UsageError(Exception):
    """A request for something that does not exist; the message names the value and the values that do."""
