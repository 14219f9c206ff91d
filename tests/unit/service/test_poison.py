"""The messages of the fault `poison`: no store can use them, and they are recognised among the dead letters."""

import pytest

from protocols.core import Command, Do, Persist, Received
from protocols.registry import load, names
from protocols.service.codec import BadMessage, Codec
from protocols.service.links import poison
from protocols.shop.services import SERVICES
from protocols.store.twin import Twin

WITH_PARTICIPANTS = ("2pc", "saga")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("name", names())
def test_each_message_is_recognised_and_a_participant_gets_one_of_each_kind(name: str, service: str) -> None:
    protocol = load(name)
    made = poison.messages(protocol, protocol.configure(), service, "ab")
    participates = name in WITH_PARTICIPANTS and service != "order"
    assert list(made) == ["ab-unreadable", "ab-refused"][: 2 if participates else 1]
    assert [poison.injected_name(body) for body in made.values()] == [f"{service} {one}" for one in made]


@pytest.mark.parametrize("name", WITH_PARTICIPANTS)
def test_one_is_unreadable_and_the_other_is_refused_by_the_store(name: str) -> None:
    protocol = load(name)
    config = protocol.configure()
    codec = Codec(protocol.messages)
    unreadable, refused = poison.messages(protocol, config, "stock", "ab").values()
    with pytest.raises(BadMessage):
        codec.decode(unreadable)
    sender, messages = codec.decode(refused)
    assert codec.encode(sender, messages) == refused
    (message,) = messages
    (effect,) = protocol.roles["stock"].step(config, None, Received(message, sender))[1]
    assert isinstance(effect, Persist | Do)
    assert poison.is_poison(effect.command)
    with pytest.raises(ValueError, match="injected poison"):
        Twin(protocol, config).run(effect.command, 0)


def test_a_protocols_own_messages_are_no_poison() -> None:
    protocol = load("2pc")
    codec = Codec(protocol.messages)
    assert poison.injected_name(codec.encode("order-1", [])) is None
    assert poison.injected_name(b"nonsense") is None
    assert not poison.is_poison(Command("prepare", ("a.1", 1, ())))
