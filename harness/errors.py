"""Errors that every room of the harness may raise."""


class EnvironmentFailure(Exception):
    """A fault of the machine or of something on it; the message says what it is and what to do about it."""
