"""The state of the Flask shop: one connection to SQLite under one lock."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GAP_S = 0.02
SCHEMA = """
CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, credit INTEGER);
CREATE TABLE IF NOT EXISTS items (id TEXT PRIMARY KEY, stock INTEGER, price INTEGER);
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, user_id TEXT, total INTEGER, state TEXT);
CREATE TABLE IF NOT EXISTS lines (order_id TEXT, item_id TEXT, quantity INTEGER);
CREATE INDEX IF NOT EXISTS lines_of_order ON lines (order_id);
CREATE TABLE IF NOT EXISTS locks (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS ids (next INTEGER);
INSERT INTO ids SELECT 0 WHERE NOT EXISTS (SELECT * FROM ids);
"""


class Database:
    """One connection to SQLite that a transaction has for itself."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(SCHEMA)
        self.run = self._connection.execute

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            self.run("BEGIN")
            try:
                yield
            except BaseException:
                self.run("ROLLBACK")
                raise
            self.run("COMMIT")

    def gap(self, seconds: float = GAP_S) -> None:
        """Commit in the middle of a transaction, and let others in for some time. Only faults do so."""
        self.run("COMMIT")
        self._lock.release()
        time.sleep(seconds)
        self._lock.acquire()
        self.run("BEGIN")
