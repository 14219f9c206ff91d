"""The laws of ARCHITECTURE.md that an import linter cannot say: allow-lists, not deny-lists."""

import ast
import importlib
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from protocols import registry

ROOT = Path(__file__).parents[2]
PACKAGES = ("wdm", "harness", "protocols", "scenarios")
VALUE_TOOLS = {
    "enum",
    "typing",
    "collections.abc",
    "msgspec.Struct",
    "msgspec.field",
    "msgspec.structs.replace",
    "protocols.claims",
    "protocols.core",
    "protocols.errors",
    "protocols.outcomes",
}
PURE = [
    ROOT / "protocols/claims.py",
    ROOT / "protocols/core.py",
    ROOT / "protocols/errors.py",
    ROOT / "protocols/outcomes.py",
    *sorted(ROOT.glob("protocols/*/machine.py")),
    *(MESSAGES := sorted(ROOT.glob("protocols/*/messages.py"))),
]
# What the harness and the command line may know of protocols/.
SHARED = (
    "protocols.backoff",
    "protocols.claims",
    "protocols.copies",
    "protocols.core",
    "protocols.errors",
    "protocols.outcomes",
    "protocols.ports",
    "protocols.registry",
    "protocols.service",
    "protocols.shop",
    "protocols.store",
)
EVERYWHERE = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
OUTSIDE = sorted(file for package in ("harness", "wdm", "scenarios") for file in (ROOT / package).rglob("*.py"))


def in_each(files: Sequence[Path]) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """Make one test of a check of a file, which names every file that fails: a test a file takes longer than its check."""

    def decorate(check: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            assert files
            failures = []
            for file in files:
                try:
                    check(file)
                except AssertionError as error:
                    failures.append(f"{named(file)}: {error}")
            assert not failures, "\n".join(failures)

        return test

    return decorate


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


@cache
def imports(file: Path) -> tuple[str, ...]:
    """Every module that a file imports, wherever in it; ``from a import b`` as ``a.b`` for modules of ours and for msgspec."""
    return tuple(_imports(file))


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide where an arrow points"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                # Of msgspec a machine may know its values, and not its codecs.
                each_by_name = _is_module(inner) or str(node.module).startswith("msgspec")
                yield inner if each_by_name else str(node.module)


@cache
def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return name.split(".", maxsplit=1)[0] in PACKAGES and (path.is_dir() or path.with_suffix(".py").is_file())


def named(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@in_each(PURE)
def test_a_machine_knows_only_values(file: Path) -> None:
    assert set(imports(file)) <= VALUE_TOOLS | {f"protocols.{messages.parent.name}.messages" for messages in MESSAGES}


@in_each(PURE)
def test_a_machine_awaits_nothing_and_calls_no_builtin_that_reaches_out(file: Path) -> None:
    tree = list(ast.walk(parsed(file)))
    assert not [node for node in tree if isinstance(node, ast.AsyncFunctionDef | ast.Await)]
    called = {node.func.id for node in tree if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"open", "print", "input", "eval", "exec", "__import__", "hash", "id"}


def test_there_is_a_machine_for_each_built_in_protocol_that_has_roles() -> None:
    assert "2pc" in registry.names()
    assert len(PURE) >= 2


@in_each(OUTSIDE)
def test_outside_protocols_nobody_knows_one_by_name(file: Path) -> None:
    known = [name for name in imports(file) if name.split(".")[0] == "protocols"]
    assert [name for name in known if not name.startswith(SHARED)] == []


@in_each(sorted((ROOT / "protocols").rglob("*.py")))
def test_protocols_never_look_outside(file: Path) -> None:
    assert not {name.split(".")[0] for name in imports(file)} & {"harness", "wdm", "scenarios", "tests"}


@in_each(sorted((ROOT / "harness").rglob("*.py")))
def test_the_harness_never_looks_at_the_face(file: Path) -> None:
    assert "wdm" not in {name.split(".")[0] for name in imports(file)}


# The one place that makes tasks, and the one that needs a thread; both see how it ends (tests/unit/test_background.py).
MAKERS = {"protocols/service/tasks.py": "create_task", "harness/runtimes/docker/container.py": "Thread"}
MAKES = {"create_task", "ensure_future", "Thread", "start_new_thread", "run_coroutine_threadsafe"}


@in_each(EVERYWHERE)
def test_nobody_begins_what_nobody_sees_the_end_of(file: Path) -> None:
    if not any(maker in file.read_text("utf-8") for maker in MAKES):
        return
    tree = parsed(file)
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = {(_last(call), _last(call.value)) for call in calls if isinstance(call, ast.Attribute)}
    made |= {(call.id, "") for call in calls if isinstance(call, ast.Name)}
    groups = {
        _last(item.optional_vars)
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if isinstance(item.context_expr, ast.Call) and _last(item.context_expr.func) == "TaskGroup"
    }
    found = {what for what, whose in made if what in MAKES and not (whose and whose in groups)}
    assert found <= {MAKERS.get(named(file))}


@in_each(EVERYWHERE)
def test_what_is_begun_to_be_awaited_is_awaited(file: Path) -> None:
    """`begin` leaves the end of a task to its maker: its name is in an `await` of the same file, or in an `asyncio.wait`."""
    if "protocols.service.tasks" not in imports(file):
        return
    nodes = list(ast.walk(parsed(file)))
    assigned = {
        _last(target)
        for node in nodes
        if isinstance(node, ast.Assign | ast.AnnAssign) and _begins(node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    }
    appended = {
        _last(node.func.value)
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "append"
        if any(map(_begins, node.args))
    }
    awaited = {_last(name) for node in nodes if _awaits(node) for name in ast.walk(node)}
    assert assigned | appended <= awaited
    assert not any(isinstance(node, ast.Expr) and _is_begin(node.value) for node in nodes)


def _last(node: ast.AST | None) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_begin(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _last(node.func) == "begin" and isinstance(node.func, ast.Name)


def _begins(node: ast.AST | None) -> bool:
    return node is not None and any(map(_is_begin, ast.walk(node)))


def _awaits(node: ast.AST) -> bool:
    return isinstance(node, ast.Await) or (isinstance(node, ast.Call) and _last(node.func) == "run_until_complete")


@pytest.mark.parametrize(
    "module", ["harness.history", "harness.checkers", "harness.faults", "harness.explore.search", "wdm.testing"]
)
def test_a_module_has_every_name_that_it_exports(module: str) -> None:
    exporting = importlib.import_module(module)
    assert [name for name in exporting.__all__ if not hasattr(exporting, name)] == []


def test_the_lock_file_names_no_registry() -> None:
    text = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in text
    assert "--hash=sha256:" in text


def test_the_picture_has_the_folders_of_the_harness_in_the_order_of_the_floors() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    picture = text.split("```")[1]
    drawn = re.findall(r"^  (\w+)/ ", picture[picture.index("harness/") : picture.index("protocols/")], re.MULTILINE)
    assert sorted(drawn) == sorted(folder.parent.name for folder in (ROOT / "harness").glob("*/__init__.py"))
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (floors,) = (contract["layers"] for contract in layers if contract["id"] == "floors")
    floor = {name: at for at, row in enumerate(floors) for name in re.findall(r"harness\.(\w+)", row)}
    assert [floor[name] for name in drawn] == sorted(floor[name] for name in drawn)
