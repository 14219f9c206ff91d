"""Messages and store results as msgpack. Classes and fields go by name, so a reader with more fields can still decode."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

_encoder = msgspec.msgpack.Encoder()
_results: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder()


class BadMessage(ValueError):
    """Bytes that are no batch of this protocol's messages."""


class Codec:
    """Encoder and decoder of batches, for the message classes of one protocol."""

    def __init__(self, messages: Iterable[type]) -> None:
        self._decoders: dict[str, msgspec.msgpack.Decoder[Any]] = {
            message.__name__: msgspec.msgpack.Decoder(message) for message in messages
        }
        self._batch = msgspec.msgpack.Decoder(tuple[str, list[tuple[str, msgspec.Raw]]])

    def encode(self, sender: str, messages: Iterable[Any]) -> bytes:
        """Encode a batch of messages from one sender."""
        return _encoder.encode((sender, [(type(message).__name__, message) for message in messages]))

    def encode_first(self, sender: str, messages: Sequence[Any], limit_bytes: int) -> tuple[int, bytes]:
        """Encode as many of the first messages as `limit_bytes` allow, and at least one: `(count, batch)`."""
        count = len(messages)
        while len(body := self.encode(sender, messages[:count])) > limit_bytes and count > 1:
            count //= 2
        return count, body

    def decode(self, body: bytes) -> tuple[str, list[Any]]:
        """Decode a batch: `(sender, messages)`. Raises `BadMessage`."""
        try:
            sender, batch = self._batch.decode(body)
            return sender, [self._decoders[name].decode(raw) for name, raw in batch]
        except (msgspec.DecodeError, KeyError) as error:
            raise BadMessage(f"not a batch of messages: {error}") from error


def encode_arguments(now: int, args: tuple[Any, ...]) -> bytes:
    """Encode the arguments of a store command; `now` is the time in milliseconds."""
    return _encoder.encode((now, *args))


def decode_result(packed: bytes) -> tuple[Any, ...]:
    """Decode the result of a store command, in the form of the twin's."""
    result: tuple[Any, ...] = _tuple(_results.decode(packed))
    return result


def _tuple(items: list[Any]) -> tuple[Any, ...]:
    """Convert lists to tuples, at every depth."""
    return tuple([_tuple(item) if type(item) is list else item for item in items])
