"""Messages and store results as msgpack: classes by name, fields by name, so that a reader with more fields still reads."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

_encoder = msgspec.msgpack.Encoder()
_results: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder()


class BadMessage(ValueError):
    """The bytes are no batch of this protocol's messages."""


class Codec:
    """A batch of messages from one sender, for the message classes of one protocol."""

    def __init__(self, messages: Iterable[type]) -> None:
        self._decoders: dict[str, msgspec.msgpack.Decoder[Any]] = {
            message.__name__: msgspec.msgpack.Decoder(message) for message in messages
        }
        self._batch = msgspec.msgpack.Decoder(tuple[str, list[tuple[str, msgspec.Raw]]])

    def encode(self, sender: str, messages: Iterable[Any]) -> bytes:
        return _encoder.encode((sender, [(type(message).__name__, message) for message in messages]))

    def encode_first(self, sender: str, messages: Sequence[Any], limit_bytes: int) -> tuple[int, bytes]:
        """As many of the first messages as ``limit_bytes`` allow, and one in any case: ``(count, batch)``."""
        count = len(messages)
        while len(body := self.encode(sender, messages[:count])) > limit_bytes and count > 1:
            count //= 2
        return count, body

    def decode(self, body: bytes) -> tuple[str, list[Any]]:
        """``(sender, messages)``. Raises ``BadMessage``."""
        try:
            sender, batch = self._batch.decode(body)
            return sender, [self._decoders[name].decode(raw) for name, raw in batch]
        except (msgspec.DecodeError, KeyError) as error:
            raise BadMessage(f"not a batch of messages: {error}") from error


def encode_arguments(now: int, args: tuple[Any, ...]) -> bytes:
    return _encoder.encode((now, *args))


def decode_result(packed: bytes) -> tuple[Any, ...]:
    result: tuple[Any, ...] = _tuple(_results.decode(packed))
    return result


def _tuple(items: list[Any]) -> tuple[Any, ...]:
    """Lists become tuples, as the twin has them."""
    return tuple([_tuple(item) if type(item) is list else item for item in items])
