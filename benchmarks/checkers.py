"""The time of the checkers on valid histories of the `sets` workload, which grows linearly.

    python benchmarks/checkers.py [--seed N] [--sizes 10000,100000,1000000]

The first measurement is the dependency graph alone, by the number of transactions; the second reads a history and runs all
checkers, by the number of operations; the third runs all checkers on orders of one hot item with half of its stock missing,
the worst case of the search for orders that explain a balance. Each size has a process of its own, with its own peak memory.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.checkers import judge
from harness.checkers.anomalies import find_anomalies
from harness.checkers.transactions import Txn
from harness.history import FileRecorder, Header, History, RecordedClaims, gc_paused, load

CLIENTS = 20
PER_KEY = 40
STEP_NS = 100_000


def transactions(size: int, seed: int) -> list[Txn]:
    """Return a strictly serializable history: checkouts of two keys and reads of one, by overlapping clients."""
    dice = random.Random(seed)
    txns: list[Txn] = []
    state: dict[str, int] = {}
    free_at = [0] * CLIENTS
    users, items = [0, 0], [0, 0]  # the current key of each kind, and how often it was used
    for now in range(STEP_NS, (size + 1) * STEP_NS, STEP_NS):
        process = dice.randrange(CLIENTS)
        began = max(free_at[process] + 1, now - dice.randrange(CLIENTS * STEP_NS))
        ended = now + dice.randrange(STEP_NS)
        free_at[process] = ended
        began = min(began, now)
        if dice.random() < 0.5:
            adds = []
            for kind, current in (("user", users), ("item", items)):
                if current[1] == PER_KEY:
                    current[:] = [current[0] + 1, 0]
                key = f"{kind} {current[0]}"
                adds.append((key, 1 << current[1]))
                state[key] = state.get(key, 0) | 1 << current[1]
                current[1] += 1
            txns.append(Txn(len(txns), process, began, ended, "committed", tuple(adds)))
        else:
            kind, current = dice.choice((("user", users), ("item", items)))
            key = f"{kind} {current[0]}"
            txns.append(Txn(len(txns), process, began, ended, "committed", (), ((key, state.get(key, 0)),)))
    return txns


class Shop:
    """A shop without delays and failures, on a clock that only the shop moves."""

    def __init__(self, recorder: FileRecorder, dice: random.Random, clock: list[int]) -> None:
        self.recorder = recorder
        self.dice = dice
        self.clock = clock
        self.credit: dict[str, int] = {}
        self.stock: dict[str, int] = {}
        self.orders: dict[str, tuple[str, str, int, bool]] = {}
        self.done = 0

    def call(self, op: str, *args: Any, answer: Any = None) -> None:
        pending = self.recorder.invoke(self.dice.randrange(CLIENTS), op, *args)
        self.clock[0] += STEP_NS
        pending.ok(answer)
        self.done += 1

    def read(self, user: str, item: str) -> None:
        self.call("find_user", user, answer={"user_id": user, "credit": self.credit[user]})
        self.call("find_item", item, answer={"stock": self.stock[item], "price": 1})

    def read_order(self, order: str) -> None:
        user, item, quantity, paid = self.orders[order]
        answer = {"order_id": order, "paid": paid, "items": [[item, quantity]], "user_id": user}
        self.call("find_order", order, answer={**answer, "total_cost": quantity})


def header(seed: int, workload: str) -> Header:
    return Header(
        protocol="none",
        claims=RecordedClaims(atomicity="atomic", isolation="strict-serializable", durability="always", recovery_s=10),
        scenario="bench",
        workload=workload,
        durability="always",
        runtime="sim",
        seed=seed,
    )


def write_history(path: Path, size: int, seed: int) -> None:
    """Write about `size` operations: blocks of one user and one item with `PER_KEY` checkouts and reads between."""
    clock = [0]
    with FileRecorder(path, header(seed, "sets"), clock=lambda: clock[0]) as recorder:
        shop = Shop(recorder, random.Random(seed), clock)
        recorder.phase("load")
        while shop.done < size * 0.79:
            _block(shop, str(len(shop.credit)))
        recorder.event("healed")
        recorder.event("probe", in_doubt=0, locks=0, fences=0, open=0)
        recorder.phase("final")
        for name in shop.credit:
            shop.read(name, name)
        for order in shop.orders:
            shop.read_order(order)


def _block(shop: Shop, name: str) -> None:
    shop.credit[name] = shop.stock[name] = 1 << PER_KEY
    shop.call("create_user", answer={"user_id": name})
    shop.call("create_item", 1, answer={"item_id": name})
    shop.call("add_funds", name, 1 << PER_KEY)
    shop.call("add_stock", name, 1 << PER_KEY)
    for exponent in range(PER_KEY):
        order, quantity = str(len(shop.orders)), 1 << exponent
        shop.orders[order] = (name, name, quantity, True)
        shop.call("create_order", name, answer={"order_id": order})
        shop.call("add_item", order, name, quantity)
        shop.call("checkout", order)
        shop.credit[name] -= quantity
        shop.stock[name] -= quantity
        if exponent % 2:
            shop.read(name, name)


def measure_graph(size: int, seed: int) -> float:
    txns = transactions(size, seed)
    begin = time.perf_counter()
    with gc_paused():
        anomalies = find_anomalies(txns)
    spent = time.perf_counter() - begin
    if anomalies:
        raise SystemExit(f"the valid history has anomalies: {anomalies[:3]}")
    return spent


def measure_whole(size: int, seed: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.ndjson"
        write_history(path, size, seed)
        begin = time.perf_counter()
        history: History = load(path)
        loaded = time.perf_counter() - begin
        judgement = judge(history)
        spent = time.perf_counter() - begin
        if judgement.verdict != "holds":
            raise SystemExit(f"the valid history is {judgement.verdict}: {judgement.reasons}")
        print(f"load {loaded:.2f} s of {len(history.operations):,} operations, ", end="")
        return spent


def measure_hot(size: int, seed: int) -> float:
    """Return the seconds for `size` paid orders of one item, of which only half have left the stock."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.ndjson"
        write_hot(path, size, seed)
        history = load(path)
        begin = time.perf_counter()
        judgement = judge(history)
        spent = time.perf_counter() - begin
        if judgement.verdict != "violated":
            raise SystemExit(f"half of the stock is there again, and the verdict is {judgement.verdict}")
        return spent


def write_hot(path: Path, size: int, seed: int) -> None:
    clock = [0]
    with FileRecorder(path, header(seed, "hot-item"), clock=lambda: clock[0]) as recorder:
        shop = Shop(recorder, random.Random(seed), clock)
        recorder.phase("load")
        shop.call("create_item", 1, answer="hot")
        shop.call("add_stock", "hot", size)
        for number in range(size):
            name = str(number)
            shop.call("create_user", answer=name)
            shop.call("add_funds", name, 10)
            shop.call("create_order", name, answer=name)
            shop.call("add_item", name, "hot", 1)
            shop.call("checkout", name)
        recorder.phase("final")
        shop.call("find_item", "hot", answer={"stock": size // 2, "price": 1})
        for number in range(size):
            name = str(number)
            shop.call("find_user", name, answer={"user_id": name, "credit": 9})
            order = {"order_id": name, "paid": True, "items": [["hot", 1]], "user_id": name, "total_cost": 1}
            shop.call("find_order", name, answer=order)


MEASURES = {"graph": measure_graph, "whole": measure_whole, "hot": measure_hot}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    if options.measure:
        spent = MEASURES[options.measure](sizes[0], options.seed)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak {peak_mb:.0f} MB\n{spent}")
        return
    for measure in MEASURES:
        before = None
        for size in sizes:
            note, spent = apart(measure, size, options.seed)
            ratio = f"{spent / before[1]:.1f} times as long for {size / before[0]:.0f} times as many" if before else ""
            print(f"{measure:6} {size:>9,}  {spent:6.2f} s  ({note})  {ratio}", flush=True)
            before = size, spent


def apart(measure: str, size: int, seed: int) -> tuple[str, float]:
    """Return (remarks, seconds) of one measurement in a process of its own."""
    command = [sys.executable, __file__, "--measure", measure, "--sizes", str(size), "--seed", str(seed)]
    note, spent = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return note, float(spent)


if __name__ == "__main__":
    main()
