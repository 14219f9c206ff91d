"""The messages of the fault `poison`, which no service can process: one that is unreadable, and one that stores refuse.

The second is a message of the protocol whose transaction has an id that no process ever makes: every store refuses the
commands for it. Both are recognised among the dead letters by the names that they were sent with.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from protocols.core import Command, Config, Do, Persist, Protocol, Received
from protocols.service.codec import Codec
from protocols.service.links import UNREADABLE_PREFIX
from protocols.store.twin import Twin

SENDER_PREFIX = "injected poison "
"""The beginning of such a message's sender, and of its transaction's id."""

_BATCH = msgspec.msgpack.Decoder(tuple[str, list[msgspec.Raw]])


def messages(protocol: Protocol, config: Config, service: str, name: str) -> dict[str, bytes]:
    """Return the messages for a service by name; the refused one only if the protocol has such a message."""
    bodies = {f"{name}-unreadable": UNREADABLE_PREFIX + f"{service} {name}-unreadable".encode()}
    refused = _refused(protocol, config, service, f"{service} {name}-refused")
    return bodies | ({f"{name}-refused": refused} if refused else {})


def injected_name(body: bytes) -> str | None:
    """Return the name of a dead letter that the fault has sent; None for every other."""
    if body.startswith(UNREADABLE_PREFIX):
        return body.removeprefix(UNREADABLE_PREFIX).decode(errors="replace")
    try:
        sender, _ = _BATCH.decode(body)
    except msgspec.DecodeError:
        return None
    return sender.removeprefix(SENDER_PREFIX) if sender.startswith(SENDER_PREFIX) else None


def is_poison(command: Command) -> bool:
    """Return whether a message of the fault has led to the command."""
    return any(isinstance(argument, str) and argument.startswith(SENDER_PREFIX) for argument in command.args)


def _refused(protocol: Protocol, config: Config, service: str, name: str) -> bytes | None:
    sender = SENDER_PREFIX + name
    for message in filter(None, (_empty(kind, sender) for kind in protocol.messages)):
        commands = _commands(protocol, config, service, message, sender)
        if any(_refuses(protocol, config, command) for command in commands):
            return Codec(protocol.messages).encode(sender, [message])
    return None


def _empty(kind: type, txn: str) -> Any:
    """Return a message whose fields are as empty as their types allow; None if they allow no such message."""
    empty: dict[Any, Any] = {msgspec.inspect.StrType: "", msgspec.inspect.IntType: 0}
    fields = getattr(msgspec.inspect.type_info(kind), "fields", ())
    values = {field.name: empty.get(type(field.type), ()) for field in fields}
    try:
        return msgspec.convert({**values, "txn": txn}, kind)
    except msgspec.ValidationError:
        return None


def _commands(protocol: Protocol, config: Config, service: str, message: Any, sender: str) -> Iterator[Command]:
    _, effects = protocol.roles[service].step(config, None, Received(message, sender))
    return (effect.command for effect in effects if isinstance(effect, Persist | Do))


def _refuses(protocol: Protocol, config: Config, command: Command) -> bool:
    try:
        Twin(protocol, config).run(command, 0)
    except Exception:  # noqa: BLE001 - as the function of a real store, which raises an error
        return True
    return False
