"""The files that images and containers are made from: those of the clone, or a copy of the files that a wheel carries.

Compose and the builds of images need one folder with `docker-compose.yml`, `Dockerfile`, `containers/` and the packages side by
side, as in a clone. A wheel carries the files outside of the packages as `wdm_project` (listed in `pyproject.toml`); both are
put together once in the user's folder, under a name made of their contents, so that another version never finds these.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.registry import user_folder

COMPOSE = "docker-compose.yml"
CARRIED = "wdm_project"
PACKAGES = ("harness", "protocols", "scenarios", "wdm")


@cache
def root() -> Path:
    """Return the folder. Raises `EnvironmentFailure` if this installation has no such files, or they cannot be put together."""
    clone = _folder("harness").parent
    return clone if (clone / COMPOSE).is_file() else _put_together()


def compose_file() -> Path:
    """Return `docker-compose.yml`. Raises as `root` does."""
    return root() / COMPOSE


def together() -> Path:
    """Return the second Compose file for deployments in which all services share one store. Raises as `root` does."""
    return root() / "containers/together.yml"


def _folder(package: str) -> Path:
    return Path(str(files(import_module(package))))


def _put_together() -> Path:
    try:
        carried = [path for path in import_module(CARRIED).__path__ if (Path(path) / COMPOSE).is_file()]
    except ModuleNotFoundError:
        carried = []
    if not carried:
        raise EnvironmentFailure(
            "this installation has no files for the docker runtime: install the wheel of wdm, or use its clone (`make venv`)"
        )
    sources = [(Path(carried[0]), Path()), *((_folder(name), Path(name)) for name in PACKAGES)]
    digest = hashlib.sha256()
    for source, below in sources:
        for file in _files(source):
            digest.update(f"{below / file.relative_to(source)}\0".encode() + file.read_bytes() + b"\0")
    target = user_folder() / f"project-{digest.hexdigest()[:12]}"
    try:
        if not target.is_dir():
            _copy(sources, target)
    except OSError as error:
        raise EnvironmentFailure(
            f"{target}: the files of the docker runtime cannot be put together: {error.strerror}"
        ) from error
    return target


def _copy(sources: list[tuple[Path, Path]], target: Path) -> None:
    """Copy all files, or none. Another process that does so at the same time makes the same folder."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        draft = Path(folder) / "project"
        for source, below in sources:
            for file in _files(source):
                copy = draft / below / file.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
                copy.chmod(0o755 if copy.suffix == ".sh" else 0o644)
        if not target.is_dir():
            draft.rename(target)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
