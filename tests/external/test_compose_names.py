"""The name of the Compose project that a value of `--compose` stands for."""

from pathlib import Path
from typing import Any

import pytest

from harness.errors import EnvironmentFailure
from harness.runtimes.external.base import guess_kind
from harness.runtimes.external.compose import project_name


def container(project: str, files: str = "", folder: str = "/") -> dict[str, Any]:
    label = "com.docker.compose.project"
    return {"Labels": {label: project, f"{label}.config_files": files, f"{label}.working_dir": folder}}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    folder = tmp_path / "_My Shop-1"
    folder.mkdir()
    path = folder / "docker-compose.yml"
    path.write_text("services: {}\n")
    return path


def test_a_name_is_the_projects_own() -> None:
    assert project_name("shop", [container("shop"), container("other")]) == "shop"


@pytest.mark.parametrize("folder", [False, True])
def test_a_file_has_the_name_of_its_folder_as_compose_writes_it(file: Path, folder: bool) -> None:
    assert project_name(str(file.parent if folder else file), [container("myshop-1")]) == "myshop-1"


@pytest.mark.parametrize("line", ["name: shop", 'name: "shop"  # of the course', "name:   'shop'"])
def test_a_name_in_the_file_comes_before_the_folders(file: Path, line: str) -> None:
    file.write_text(f"{line}\nservices:\n  order:\n    name: order\n")
    assert project_name(str(file), [container("myshop-1"), container("shop")]) == "shop"


def test_the_variable_comes_before_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("name: shop\n")
    (file.parent / ".env").write_text("A=1\nCOMPOSE_PROJECT_NAME=beside\n")
    known = [container("shop"), container("beside"), container("given")]
    assert project_name(str(file), known) == "beside"
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "given")
    assert project_name(str(file), known) == "given"


@pytest.mark.parametrize("absolute", [False, True])
def test_a_project_with_a_name_of_its_own_is_found_by_the_file_it_was_made_from(file: Path, absolute: bool) -> None:
    made = container("own", f"other.yml,{file if absolute else file.name}", str(file.parent))
    assert project_name(str(file), [container("else"), made]) == "own"


def test_a_file_of_several_projects_needs_a_name(file: Path) -> None:
    known = [container(name, str(file)) for name in ("one", "two")]
    with pytest.raises(EnvironmentFailure, match="several projects are made from it; name one of: one, two"):
        project_name(str(file), known)


def test_an_unknown_project_is_refused_with_those_that_exist() -> None:
    with pytest.raises(EnvironmentFailure, match="no project 'shp'; the projects are: other, shop"):
        project_name("shp", [container("shop"), container("other")])
    with pytest.raises(EnvironmentFailure, match="no container of any project"):
        project_name("shp", [])


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("order-service", "order"), "service"),
        (("order-db", "redis"), "store"),
        (("stock-store",), "store"),
        (("cart", "postgres"), "store"),
        (("rabbitmq",), "broker"),
        (("kafka-1",), "broker"),
        (("gateway", "nginx"), "gateway"),
        (("web", "nginx"), "gateway"),
        (("dbt-runner",), "service"),
        (("restore",), "service"),
    ],
)
def test_the_kind_of_a_node_is_guessed_from_its_name_and_image(names: tuple[str, ...], kind: str) -> None:
    assert guess_kind(*names) == kind
