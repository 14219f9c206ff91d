"""The laws of ARCHITECTURE.md that an import linter cannot say: allow-lists, not deny-lists."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols import registry

ROOT = Path(__file__).parents[2]
PACKAGES = ("wdm", "harness", "protocols", "scenarios")
VALUE_TOOLS = {"dataclasses", "enum", "typing", "collections.abc", "protocols.core"}
PURE = [ROOT / "protocols/core.py", *sorted(ROOT.glob("protocols/*/machine.py"))]
# What the harness and the command line may know of protocols/.
SHARED = ("protocols.core", "protocols.ports", "protocols.registry", "protocols.service", "protocols.shop")
OUTSIDE = sorted(file for package in ("harness", "wdm", "scenarios") for file in (ROOT / package).rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it; ``from a import b`` as ``a.b`` if that is a module of ours."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide where an arrow points"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if _is_module(inner) else str(node.module)


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return name.split(".", maxsplit=1)[0] in PACKAGES and (path.is_dir() or path.with_suffix(".py").is_file())


def named(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("file", PURE, ids=named)
def test_a_machine_knows_only_values(file: Path) -> None:
    assert set(imports(file)) <= VALUE_TOOLS


@pytest.mark.parametrize("file", PURE, ids=named)
def test_a_machine_awaits_nothing_and_calls_no_builtin_that_reaches_out(file: Path) -> None:
    tree = list(ast.walk(ast.parse(file.read_text("utf-8"))))
    assert not [node for node in tree if isinstance(node, ast.AsyncFunctionDef | ast.Await)]
    called = {node.func.id for node in tree if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"open", "print", "input", "eval", "exec", "__import__", "hash", "id"}


def test_there_is_a_machine_for_each_built_in_protocol_that_has_roles() -> None:
    assert "2pc" in registry.names()
    assert len(PURE) >= 2


@pytest.mark.parametrize("file", OUTSIDE, ids=named)
def test_outside_protocols_nobody_knows_one_by_name(file: Path) -> None:
    known = [name for name in imports(file) if name.split(".")[0] == "protocols"]
    assert [name for name in known if not name.startswith(SHARED)] == []


@pytest.mark.parametrize("file", sorted((ROOT / "protocols").rglob("*.py")), ids=named)
def test_protocols_never_look_outside(file: Path) -> None:
    assert not {name.split(".")[0] for name in imports(file)} & {"harness", "wdm", "scenarios", "tests"}


@pytest.mark.parametrize("file", sorted((ROOT / "harness").rglob("*.py")), ids=named)
def test_the_harness_never_looks_at_the_face(file: Path) -> None:
    assert "wdm" not in {name.split(".")[0] for name in imports(file)}


def test_the_lock_file_names_no_registry() -> None:
    text = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in text
    assert "--hash=sha256:" in text


def test_the_order_service_and_the_runtime_agree_on_the_services() -> None:
    from harness.runtimes.local.spec import SERVICES
    from protocols.service import settings

    assert set(SERVICES) == set(settings.SERVICES)
