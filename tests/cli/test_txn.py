"""`wdm txn` on sagas: their requests, answers and compensations, also after their end and crashes of their nodes."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.terminal import Terminal, until


@pytest.fixture
def sagas(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    terminal.up("--protocol", "saga", "--respawn-after-s", "0.2", "--time-limit-s", "3")
    yield terminal
    terminal.close()


def post(url: str) -> bytes:
    with urlopen(Request(url, method="POST")) as answer:
        return bytes(answer.read())


@pytest.mark.slow
def test_a_compensation_is_shown_with_its_times_after_a_crash(sagas: Terminal) -> None:
    shop = sagas.status()["gateway"]
    item = json.loads(post(f"{shop}/stock/item/create/2"))["item_id"]
    post(f"{shop}/stock/add/{item}/5")
    user = json.loads(post(f"{shop}/payment/create_user"))["user_id"]
    order = json.loads(post(f"{shop}/orders/create/{user}"))["order_id"]
    post(f"{shop}/orders/addItem/{order}/{item}/1")
    with pytest.raises(OSError, match="409"):
        post(f"{shop}/orders/checkout/{order}")

    for name in ("order-1", "order-store"):
        pid = sagas.nodes()[name].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda name=name, pid=pid: sagas.nodes()[name].pid not in (None, pid))
    until(lambda: all(node.state == "running" for node in sagas.nodes().values()))

    (ended,) = json.loads(sagas.wdm("txn", "list", "--ended", "--json").stdout)
    assert (ended["state"], ended["subject"], ended["service"]) == ("compensated", order, "order")
    rows = json.loads(sagas.wdm("txn", "show", "--json", ended["txn"]).stdout)
    assert {row["service"]: row["state"] for row in rows} == {
        "order": "compensated",
        "stock": "compensated",
        "payment": "rejected",
    }
    (log,) = (row["log"] for row in rows if row["service"] == "order")
    assert [(line["what"], line["branch"]) for line in log] == [
        ("begun", ""),
        ("perform", "stock/0"),
        ("performed", "stock/0"),
        ("perform", "payment/0"),
        ("rejected", "payment/0"),
        ("compensating", ""),
        ("compensate", "stock/0"),
        ("compensated", "stock/0"),
    ]
    assert [line["at_ms"] for line in log] == sorted(line["at_ms"] for line in log)
    text = sagas.wdm("txn", "show", ended["txn"]).stdout
    assert f"short:user:{user}" in text
    assert "began at 2" in text
