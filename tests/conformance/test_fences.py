"""Fences that should have been collected are listed, on both sides, also where no horizon was ever recorded."""

import pytest
import redis

from protocols import saga, two_phase
from protocols.core import Command, Protocol
from protocols.service.codec import decode_result, encode_arguments
from protocols.service.lua_library import source
from protocols.store.twin import Twin
from tests.conformance.dump import dump

CHANGES = (("item:0", -1),)


def prepare(txn: str, horizon: tuple[int, int]) -> list[Command]:
    return [
        Command("prepare", (txn, "order", "stock/0", 1, horizon, CHANGES, "order-1")),
        Command("apply", (txn, "stock/0", "order-1")),
    ]


def perform(txn: str, horizon: tuple[int, int]) -> list[Command]:
    return [Command("perform", (txn, "stock/0", horizon, CHANGES, "order-1"))]


@pytest.mark.parametrize(
    ("protocol", "begin"), [(two_phase.PROTOCOL, prepare), (saga.PROTOCOL, perform)], ids=["2pc", "saga"]
)
def test_fences_below_what_was_announced_are_listed(server: redis.Redis, protocol: Protocol, begin) -> None:
    server.flushall()
    server.function_load(source(protocol, protocol.configure()), replace=True)
    twin = Twin(protocol, protocol.configure())

    def run(one: Command) -> object:
        answer = server.execute_command("FCALL", f"wdm_{one.name}", 0, encode_arguments(9, one.args))
        result = twin.run(one, 9)
        assert decode_result(answer) == result
        return result

    run(Command("create_account", ("item:0", 9, 1)))
    begun = {"a~1.0": (0, 0), "a~2.0": (1, 0), "a~2.3": (2, 1), "a~2.4": (2, 3), "b~5.0": (5, 0), "a~2.9": (2, 1001)}
    for txn, horizon in begun.items():
        for one in begin(txn, horizon):
            run(one)
    assert twin.tables["announced"] == {"a": (2, 3), "b": (5, 0)}
    for prefix, sequence in (("a~1", "0"), ("a~2", "0"), ("a~2", "3")):
        kept = server.hget("fence:b~5", "0")
        assert kept is not None
        server.hset(f"fence:{prefix}", sequence, kept)
        twin.tables.setdefault(f"fence:{prefix}", {})[sequence] = twin.tables["fence:b~5"]["0"]
        server.hset("lives:a", prefix[2:], prefix)
        twin.tables["lives:a"][prefix[2:]] = prefix
    listed = [run(Command("list_txns"))]
    server.delete("horizon")
    del twin.tables["horizon"]
    listed.append(run(Command("list_txns")))
    assert listed[0] == (("a~1.0", "fenced", "", 9), ("a~2.0", "fenced", "", 9), ("a~2.3", "fenced", "", 9))
    assert listed[1] == listed[0][:2], "nothing says that a~2.3 has ended"
    assert dump(server) == twin.tables
