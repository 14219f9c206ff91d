"""The control's few commands, on both sides."""

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.core import Command
from protocols.unprotected import PROTOCOL
from tests.conformance.test_two_phase import ACCOUNTS, FILLED, KEYS, ORDERS, commands, deltas, run

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
