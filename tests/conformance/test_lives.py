"""The lives of an instance begin with the same numbers on both sides, also at the first milliseconds of a clock."""

import pytest
import redis

from protocols.core import Command
from protocols.service.codec import decode_result, encode_arguments
from protocols.service.lua_library import source
from protocols.store.twin import Twin
from protocols.two_phase import PROTOCOL
from tests.conformance.dump import dump

TRIES = ((3, "first"), (3, "first"), (3, "second"), (5, "second"), (4, "first"), (5, "second"))
LATEST = ((3, "first"), (3, "first"), (3, "first"), (5, "second"), (5, "second"), (5, "second"))


def test_the_highest_number_is_the_latest_life(server: redis.Redis) -> None:
    server.flushall()
    server.function_load(source(PROTOCOL, PROTOCOL.configure()), replace=True)
    twin = Twin(PROTOCOL, PROTOCOL.configure())
    for (life, process), latest in zip(TRIES, LATEST, strict=True):
        one = Command("enlist", ("a", life, process))
        answer = decode_result(server.execute_command("FCALL", f"wdm_{one.name}", 0, encode_arguments(0, one.args)))
        assert answer == twin.run(one, 0) == latest
    assert dump(server) == twin.tables


@pytest.mark.parametrize(
    ("begun", "txn", "superseded"), [(None, "a.0", False), (1, "a.0", True), (2, "a~1.0", True), (2, "a~2.0", False)]
)
def test_a_transaction_of_a_former_life_does_not_begin(
    server: redis.Redis, begun: int | None, txn: str, superseded: bool
) -> None:
    server.flushall()
    server.function_load(source(PROTOCOL, PROTOCOL.configure()), replace=True)
    twin = Twin(PROTOCOL, PROTOCOL.configure())
    lives = [] if begun is None else [Command("enlist", ("a", begun, "p"))]
    for one in (Command("create_order", ("o", "0")), *lives, Command("open", (txn, "o", "order-1"))):
        answer = decode_result(server.execute_command("FCALL", f"wdm_{one.name}", 0, encode_arguments(0, one.args)))
        assert answer == twin.run(one, 0)
    assert (txn not in twin.tables.get("open", {})) == superseded
    assert dump(server) == twin.tables


@pytest.mark.parametrize("now", [0, 4, 100])
@pytest.mark.parametrize("short_log", ["presume", "block"])
def test_a_generation_is_between_the_lives_before_and_after_it(server: redis.Redis, now: int, short_log: str) -> None:
    config = PROTOCOL.configure({"short-log": short_log})
    server.flushall()
    server.function_load(source(PROTOCOL, config), replace=True)
    twin = Twin(PROTOCOL, config)

    def run(name: str, *args: object) -> tuple[object, ...]:
        answer = decode_result(server.execute_command("FCALL", f"wdm_{name}", 0, encode_arguments(now, args)))
        assert answer == twin.run(Command(name, args), now)
        return answer

    run("create_order", "o", "u")
    former, _ = run("enlist", "a", max(now, 1), "former")
    (first,) = run("begin_generation", "one run")
    assert run("begin_generation", "one run") == (first,)
    unknown = run("resolve", f"a~{former}.7", 0, "", "")[0] == "unknown"
    begun = run("open", f"a~{former}.7", "o", "a")[0] == "open"
    run("close", f"a~{former}.7")
    life, _ = run("enlist", "a", first + 1 if first else former + 1, "latter")
    assert run("resolve", f"a~{life}.0", 0, "", "")[0] == "abort"
    assert run("resolve", f"a~{life}.0", 0, "", "", True)[0] == "unknown"
    assert run("open", f"a~{life}.0", "o", "a")[0] == "open"
    assert run("resolve", f"a~{life}.0", 0, "", "", True)[0] == "abort", "its record is here, and undecided"
    (second,) = run("begin_generation", "another run")
    if short_log == "block":
        assert former < first < life < second
        assert (unknown, begun) == (True, False)
    else:
        assert (first, second, unknown, begun) == (0, 0, False, True)
    assert dump(server) == twin.tables
