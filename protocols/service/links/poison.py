"""Messages that are made to be of no use to anybody, for the fault ``poison``: one that cannot be read, one that can.

The second is a message of the protocol whose transaction has an id that no process ever makes: every store refuses what it
asks for. Whoever looks at dead letters knows both by the names that they were planted with.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from protocols.core import Command, Config, Do, Persist, Protocol, Received
from protocols.service.codec import Codec
from protocols.service.links import UNREADABLE_PREFIX
from protocols.service.lua_library import Twin

SENDER_PREFIX = "injected poison "
"""How the sender of such a message and its transaction's id begin."""

_BATCH = msgspec.msgpack.Decoder(tuple[str, list[msgspec.Raw]])


def messages(protocol: Protocol, config: Config, service: str, name: str) -> dict[str, bytes]:
    """What to plant in a service, by the name by which it is found again; the second only if the protocol has such a message."""
    made = {f"{name}-unreadable": UNREADABLE_PREFIX + f"{service} {name}-unreadable".encode()}
    refused = _refused(protocol, config, service, f"{service} {name}-refused")
    return made | ({f"{name}-refused": refused} if refused else {})


def injected_name(letter: bytes) -> str | None:
    """The name of a dead letter that was planted; None for any other."""
    if letter.startswith(UNREADABLE_PREFIX):
        return letter.removeprefix(UNREADABLE_PREFIX).decode(errors="replace")
    try:
        sender, _ = _BATCH.decode(letter)
    except msgspec.DecodeError:
        return None
    return sender.removeprefix(SENDER_PREFIX) if sender.startswith(SENDER_PREFIX) else None


def is_poison(command: Command) -> bool:
    """Whether the command comes of a message that was planted."""
    return any(isinstance(argument, str) and argument.startswith(SENDER_PREFIX) for argument in command.args)


def _refused(protocol: Protocol, config: Config, service: str, name: str) -> bytes | None:
    sender = SENDER_PREFIX + name
    for message in filter(None, (_made(kind, sender) for kind in protocol.messages)):
        if any(_refuses(protocol, config, command) for command in _asked(protocol, config, service, message, sender)):
            return Codec(protocol.messages).encode(sender, [message])
    return None


def _made(kind: type, txn: str) -> Any:
    """A message whose fields are as empty as their types allow; None if they allow no such thing."""
    empty: dict[Any, Any] = {msgspec.inspect.StrType: "", msgspec.inspect.IntType: 0}
    fields = getattr(msgspec.inspect.type_info(kind), "fields", ())
    values = {field.name: empty.get(type(field.type), ()) for field in fields}
    try:
        return msgspec.convert({**values, "txn": txn}, kind)
    except msgspec.ValidationError:
        return None


def _asked(protocol: Protocol, config: Config, service: str, message: Any, sender: str) -> Iterator[Command]:
    _, effects = protocol.roles[service].step(config, None, Received(message, sender))
    return (effect.command for effect in effects if isinstance(effect, Persist | Do))


def _refuses(protocol: Protocol, config: Config, command: Command) -> bool:
    try:
        Twin(protocol, config).run(command, 0)
    except Exception:  # noqa: BLE001 - as the function of a real store, which raises an error
        return True
    return False
