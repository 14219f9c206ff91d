"""The control's few commands, on both sides."""

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.core import Command
from protocols.service.codec import decode_result, encode_arguments
from protocols.service.lua_library import source
from protocols.store.twin import Twin
from protocols.two_phase import PROTOCOL as TWO_PHASE
from protocols.unprotected import PROTOCOL
from tests.conformance.dump import dump
from tests.conformance.test_two_phase import ACCOUNTS, FILLED, KEYS, ORDERS, commands, deltas, prepare, run

UNPROTECTED = {
    "read_order": (st.sampled_from((*ORDERS, "nothing")),),
    "change": (
        st.just("a.0"),
        st.integers(-1, 1),
        st.just("x"),
        st.sampled_from(KEYS),
        deltas,
    ),
    "mark_paid": (st.sampled_from((*ORDERS, "nothing")),),
    "unfinished": (st.just(""), st.just(-1)),
    "list_txns": (),
    "txn_verdict": (st.just("a.0"),),
}


def test_the_twin_and_the_real_commands_agree(server: redis.Redis) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(commands(UNPROTECTED), max_size=20))
    def agree(sequence: list[Command]) -> None:
        run(server, PROTOCOL.configure(), [*ACCOUNTS, *FILLED, *sequence], PROTOCOL)

    agree()


@pytest.mark.parametrize("name", UNPROTECTED)
def test_every_command_is_compared(name: str) -> None:
    assert name in PROTOCOL.commands


@pytest.mark.parametrize("locks", ["no-wait", "escrow"])
def test_what_another_protocol_has_prepared_is_respected(server: redis.Redis, locks: str) -> None:
    """A shop may be started again with another protocol while something is in doubt, on the same stores."""
    before, after = TWO_PHASE.configure({"locks": locks}), PROTOCOL.configure()
    opened = Command("open", ("a.1", ORDERS[0], "c0"))
    change = Command("change", ("a.2", 0, "x", "item:0", -3))
    first, second = Twin(TWO_PHASE, before), Twin(PROTOCOL, after)
    second.tables = first.tables
    server.flushall()
    replies = []
    for twin, library, sequence in (
        (first, source(TWO_PHASE, before), [*ACCOUNTS, *FILLED, prepare("a.0", 2, "item:0"), opened]),
        (second, source(PROTOCOL, after), [change, Command("read_order", (ORDERS[0],))]),
    ):
        server.function_load(library, replace=True)
        for one in sequence:
            replies.append(
                decode_result(server.execute_command("FCALL", f"wdm_{one.name}", 0, encode_arguments(1, one.args)))
            )
            assert replies[-1] == twin.run(one, 1), f"reply to {one}"
    assert dump(server) == second.tables
    assert replies[-2:] == [(f"locked:item:0:{'escrow' if locks == 'escrow' else 'a.0'}",), ("busy",)]
