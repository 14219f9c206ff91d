"""What is recorded is read back; what is not whole is never read."""

import errno
import resource

import msgspec
import pytest

from harness.checkers import judge
from harness.history import (
    Event,
    FileRecorder,
    Header,
    History,
    HistoryError,
    Operation,
    Processes,
    RecordedClaims,
    load,
)
from harness.history.recorder import FLUSH_BYTES

SECOND = 1_000_000_000
HEADER = Header(
    protocol="2pc",
    claims=RecordedClaims(atomicity="atomic", isolation="serializable", durability="always", recovery_s=5),
    scenario="default",
    workload="checkout",
    durability="always",
    runtime="local",
    seed=7,
    config={"clients": 3, "faults": [{"fault": "crash"}]},
)


class Clock:
    """One second more at each call of `tick`."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now

    def tick(self, ns=1000):
        self.now += ns


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.ndjson"


def shop_run(path, clock, complete=True):
    """A small run that holds: one checkout, and everything read at the end."""
    with FileRecorder(path, HEADER, clock) as recorder:

        def ok(op, *args, value=None):
            pending = recorder.invoke(0, op, *args)
            clock.tick()
            pending.ok(value)

        recorder.phase("load")
        ok("create_user", value={"user_id": "1"})
        ok("add_funds", "1", 10)
        ok("create_item", 3, value={"item_id": "7"})
        ok("add_stock", "7", 5)
        ok("create_order", "1", value={"order_id": "o"})
        ok("add_item", "o", "7", 2)
        ok("checkout", "o")
        recorder.event("healed")
        recorder.event("probe", in_doubt=0, locks=0, fences=0, open=0)
        recorder.phase("final")
        ok("find_user", "1", value={"user_id": "1", "credit": 4})
        ok("find_item", "7", value={"stock": 3, "price": 3})
        order = {"order_id": "o", "paid": True, "items": [["7", 2]], "user_id": "1", "total_cost": 6}
        ok("find_order", "o", value=order)
        recorder.close(complete)
    return path


def test_what_was_recorded_is_read_back(path, clock):
    received = []
    with FileRecorder(path, HEADER, clock, listener=received.append) as recorder:
        recorder.phase("load")
        slow = recorder.invoke(1, "checkout", "o1")
        clock.tick(5)
        recorder.invoke(2, "find_user", "é\n").ok({"user_id": "é\n", "credit": 2**53})
        clock.tick(5)
        slow.unknown("time-out")
        recorder.invoke(3, "pay", "1", 5).fail("too little credit")
    history = load(path)
    assert history.header == HEADER
    assert history.complete
    assert history.operations == [
        Operation(2, "find_user", ["é\n"], 5, 5, "ok", {"user_id": "é\n", "credit": 2**53}),
        Operation(1, "checkout", ["o1"], 0, 10, "unknown", "time-out"),
        Operation(3, "pay", ["1", 5], 10, 10, "fail", "too little credit"),
    ]
    assert history.events == [Event("phase", 0, {"name": "load"})]
    assert received == [history.events[0], *history.operations]


def test_one_record_a_line(path, clock):
    shop_run(path, clock)
    lines = path.read_bytes().splitlines()
    assert lines[0].startswith(b'{"type":"header"')
    assert lines[-1].startswith(b'{"type":"footer"')
    assert len(lines) == 1 + 10 + 4 + 1


def test_a_whole_file_is_judged(path, clock):
    assert judge(load(shop_run(path, clock))).verdict == "holds"


def test_every_truncation_is_noticed(path, clock):
    data = shop_run(path, clock).read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(HistoryError, match=str(path)):
            load(path)


@pytest.mark.parametrize("flip", [1, 128])
def test_every_altered_byte_is_noticed(path, clock, flip):
    data = bytearray(shop_run(path, clock).read_bytes())
    for at in range(len(data)):
        data[at] ^= flip
        path.write_bytes(data)
        with pytest.raises(HistoryError, match=str(path)):
            load(path)
        data[at] ^= flip


def test_a_line_lost_doubled_moved_or_added_is_noticed(path, clock):
    lines = shop_run(path, clock).read_bytes().splitlines(keepends=True)
    for at in range(len(lines)):
        for altered in (
            lines[:at] + lines[at + 1 :],
            lines[: at + 1] + lines[at:],
            lines[:at] + lines[at + 1 : at + 2] + [lines[at]] + lines[at + 2 :],
            [*lines[: at + 1], b"\n", *lines[at + 1 :]],
        ):
            if altered == lines:
                continue  # the last line has nowhere to go
            path.write_bytes(b"".join(altered))
            with pytest.raises(HistoryError):
                load(path)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"version":3', b'"version":4', "version 4; this wdm reads versions 1, 2, 3"),
        (b'"complete":true', b'"complete":false', "altered"),
        (b'"atomic"', b'"atomicc"', "line 1: not a record"),
        (b'"credit":4', b'"credit":5', "line 16: altered: checksum"),
        (b'"outcome":"ok"', b'"outcome":"no"', "line 3: not a record"),
        (b'"invoked_ns":0', b'"invoked_ns":9000', "line 3: create_user was completed before it began"),
        (b'{"type":"header"', b'{"type":"footer"', "line 1: not a wdm history"),
        (b'"operations":10', b'"operations":11', "altered: operations 11 in the footer, not 10"),
    ],
)
def test_what_is_wrong_is_named(path, clock, old, new, why):
    data = shop_run(path, clock).read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    with pytest.raises(HistoryError, match=why):
        load(path)


def test_a_missing_file_is_reported(path):
    with pytest.raises(HistoryError, match=r"history\.ndjson: cannot read the history: No such file"):
        load(path)


def test_an_interrupted_run_can_be_judged_but_never_holds(path, clock):
    history = load(shop_run(path, clock, complete=False))
    assert not history.complete
    assert judge(history).verdict == "unknown"


def test_an_exception_leaves_an_incomplete_history_with_what_was_running(path, clock):
    def interrupted():
        with FileRecorder(path, HEADER, clock) as recorder:
            recorder.invoke(4, "checkout", "o")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    history = load(path)
    assert not history.complete
    assert [(op.op, op.outcome) for op in history.operations] == [("checkout", "unknown")]


def test_what_was_recorded_a_second_ago_is_on_disk(path, clock):
    recorder = FileRecorder(path, HEADER, clock)
    recorder.event("node", up="order-1")
    assert b"order-1" not in path.read_bytes()
    clock.tick(SECOND)
    recorder.event("node", up="order-2")
    assert b"order-2" in path.read_bytes()
    recorder.event("node", up="x" * FLUSH_BYTES)
    assert b"xxx" in path.read_bytes()
    recorder.close()


def test_a_full_disk_is_reported_and_what_was_written_stays(path, clock):
    recorder = FileRecorder(path, HEADER, clock)
    recorder.invoke(1, "checkout", "kept").ok()
    clock.tick(SECOND)
    recorder.invoke(2, "checkout", "kept too").ok()
    clock.tick(SECOND)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 400, hard))
    try:
        with pytest.raises(HistoryError, match=r"history\.ndjson: cannot write the history: File too large"):
            recorder.event("node", up="x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(HistoryError, match="File too large"):
        recorder.phase("final")
    with pytest.raises(HistoryError, match="File too large"):
        recorder.invoke(3, "checkout").ok()
    recorder.close()
    history = load(path)
    assert not history.complete
    assert [op.args for op in history.operations] == [["kept"], ["kept too"]]


def test_no_room_even_for_the_footer_is_a_truncated_file(path, clock, monkeypatch):
    recorder = FileRecorder(path, HEADER, clock)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("harness.history.recorder.os.write", full)
    clock.tick(SECOND)
    with pytest.raises(HistoryError, match="No space left on device"):
        recorder.phase("load")
    with pytest.raises(HistoryError, match="truncated"):
        load(path)


def test_an_existing_file_is_not_written_over(path):
    path.write_text("precious")
    with pytest.raises(HistoryError, match="cannot create the history: File exists"):
        FileRecorder(path, HEADER)
    assert path.read_text() == "precious"


def test_a_process_does_one_thing_at_a_time_and_nothing_after_an_unknown(path, clock):
    with FileRecorder(path, HEADER, clock) as recorder:
        first = recorder.invoke(1, "checkout", "o")
        with pytest.raises(HistoryError, match="process 1 is still doing checkout"):
            recorder.invoke(1, "find_user", "1")
        first.unknown("reset")
        with pytest.raises(HistoryError, match="process 1 ended in an unknown outcome"):
            recorder.invoke(1, "find_user", "1")
        with pytest.raises(HistoryError, match="was completed before"):
            first.ok()


def test_after_the_end_nothing_is_recorded(path, clock):
    recorder = FileRecorder(path, HEADER, clock)
    late = recorder.invoke(1, "checkout", "o")
    recorder.close()
    recorder.close()
    for record in (late.ok, lambda: recorder.phase("final")):
        with pytest.raises(HistoryError, match="the history is closed"):
            record()
    assert load(path).operations[0].value == "still running when the history was closed"


def test_process_numbers_are_not_used_again_after_an_unknown():
    processes = Processes(first=10)
    one, two = processes.fresh(), processes.fresh()
    assert (one, two) == (10, 11)
    assert processes.after(Operation(one, "checkout", [], 0, 1, "ok")) == one
    assert processes.after(Operation(one, "checkout", [], 0, 1, "fail")) == one
    assert processes.after(Operation(two, "checkout", [], 0, 1, "unknown")) == 12


def test_a_history_derives_each_thing_once():
    calls = []
    history = History(HEADER, [], [Event("phase", 5, {"name": "final"}), Event("phase", 9, {"name": "final"})])

    def size(which):
        calls.append(which)
        return len(which.operations)

    assert history.derive(size) == history.derive(size) == 0
    assert calls == [history]
    assert (history.phase_ns("final"), history.phase_ns("load"), history.start_ns) == (9, None, 5)


def test_words_of_former_versions_are_read_as_those_of_today(path) -> None:
    with FileRecorder(path, msgspec.structs.replace(HEADER, version=2)) as recorder:
        recorder.event("fault-start", fault="crash-at", settings={"boundary": "order:after-send:vote", "passing": 1})
        recorder.event("buried", planted=["poison"])
    events = load(path).events
    assert events[0].data["settings"] == {"failpoint": "order:after-send:vote", "passing": 1}
    assert (events[1].kind, events[1].data) == ("dead-letters", {"planted": ["poison"]})
