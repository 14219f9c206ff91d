"""Where a user has no home, no temporary folder, or neither: what is kept goes where it can, and what cannot says so."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.runtimes.deployment import jars, registry
from harness.runtimes.deployment.registry import user_folder
from wdm.cli import main


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", jars.FOLDER):
        monkeypatch.delenv(name, raising=False)
    user_folder.cache_clear()
    yield
    user_folder.cache_clear()


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is run by a number: no variable, and no entry in the list of users."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: (_ for _ in ()).throw(KeyError(number)))
    with pytest.raises(RuntimeError):
        Path("~").expanduser()


def test_without_a_home_the_temporary_folder_is_used(homeless: None) -> None:
    assert user_folder() == Path(tempfile.gettempdir()) / f"wdm-{os.getuid()}"
    assert jars.folder().is_relative_to(user_folder())


@pytest.mark.parametrize("command", [["status"], ["doctor"], ["down"], ["down", "--all"], ["runs"]])
def test_without_a_home_commands_work(homeless: None, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", *command]) in (0, 4)
    assert "unexpected" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["status", "--state-dir", "~nobody-has-this-name"], ["status", "--state-dir", "~"]]
)
def test_a_home_that_nobody_knows_is_named(
    homeless: None, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "~ stands for no known home" in capsys.readouterr().err


def test_a_temporary_folder_is_not_looked_for_where_there_is_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: (_ for _ in ()).throw(FileNotFoundError("no temporary folder")))
    assert user_folder() == tmp_path / ".local/state/wdm"
    assert registry.expanded(Path("~/x")) == tmp_path / "x"
