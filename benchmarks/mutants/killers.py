"""The quick tests of each file, those that fail soonest first. A file without a row is an error."""

from fnmatch import fnmatch

CHECKERS = ("tests/unit/checkers", "tests/checkers")
STORE = ("tests/golden", "tests/conformance")
SEARCH = ("tests/explore",)
SHOP = ("tests/contract", "tests/property", "tests/unit")

ROWS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    ("harness/checkers/*.py", (CHECKERS, ("tests/unit", "tests/sim"))),
    ("protocols/*.lua", (("tests/conformance",), ("tests/contract",))),
    ("protocols/shop/ledger*.py", (STORE, SHOP, SEARCH)),
    ("protocols/*.py", (STORE, SEARCH, ("tests/unit", "tests/sim"))),
)

TARGETS = (
    "harness/checkers/*.py",
    "protocols/shop/ledger*",
    "protocols/store/lives.*",
    "protocols/store/fences.*",
    "protocols/store/tables.*",
    "protocols/two_phase/*.lua",
    "protocols/two_phase/commands.py",
    "protocols/two_phase/locks.py",
    "protocols/two_phase/escrow.py",
    "protocols/saga/*.lua",
    "protocols/saga/commands.py",
    "protocols/lua_atomic/commands.*",
)


def killers(path: str) -> tuple[tuple[str, ...], ...]:
    """Return the stages of test folders of a file; they run one after another until one of them fails."""
    return next(stages for pattern, stages in ROWS if fnmatch(path, pattern))
