"""The wheel and the sdist, built without an index, installed where no clone is, and used there."""

import json
import os
import site
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

from harness.runtimes.docker import images, offline, project

pytestmark = pytest.mark.slow

CLONE = Path(__file__).parents[2]
LOOKED_AT = """
import json, sys
from pathlib import Path
from harness.runtimes.docker import images, offline, project
Path("wheels").mkdir()
offline._copy_context(Path("context"), Path("wheels"))
print(json.dumps({"root": str(project.root()), "source": images.source(), "official": dict(images.official()),
    "together": project.together().is_file(), "harness": project.__file__}))
"""


def run(*command: str | Path, folder: Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WDM_", "PYTHON"))}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def wheel_of(source: Path, to: Path) -> Path:
    """Built as the image builds it."""
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--no-build-isolation")
    run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", to, source, folder=source)
    (found,) = to.glob("wdm-*.whl")
    return found


def installed(wheel: Path, where: Path) -> Path:
    """The `python` of a fresh environment with the wheel, and the libraries of this one, without its `wdm`."""
    venv.create(where, with_pip=False, symlinks=True)
    python = where / "bin/python"
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel, folder=where)
    (packages,) = where.glob("lib/python*/site-packages")
    for library in (entry for folder in site.getsitepackages() for entry in Path(folder).iterdir()):
        # An editable install carries `wdm_project` as well: nothing of ours may come from there.
        if not (library.name.startswith("wdm") or library.suffix == ".pth" or (packages / library.name).exists()):
            (packages / library.name).symlink_to(library)
    return python


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist."""
    made, unpacked = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("unpacked")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", made, folder=CLONE)
    (archive,) = made.glob("wdm-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(unpacked, filter="data")
    (folder,) = unpacked.iterdir()
    return folder


@pytest.fixture(scope="module")
def python(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel of the sdist, which is the wheel of the clone."""
    wheels = [wheel_of(source, tmp_path_factory.mktemp("wheel")) for source in (sdist, CLONE)]
    assert wheels[0].read_bytes() == wheels[1].read_bytes()
    return installed(wheels[0], tmp_path_factory.mktemp("environment"))


def test_a_wheel_carries_what_containers_are_made_from(python: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for attempt in ("once", "again"):
        (tmp_path / attempt).mkdir()
        done = run(python, "-c", LOOKED_AT, folder=tmp_path / attempt, XDG_STATE_HOME=str(home))
        found = json.loads(done.stdout)
        assert not Path(found["harness"]).is_relative_to(CLONE)
        assert Path(found["root"]).is_relative_to(home)
        assert found["source"] == images.source()
        assert (found["official"], found["together"]) == (dict(images.official()), True)
    (home / "wdm").chmod(0o700)
    assert [path.name for path in (home / "wdm").iterdir()] == [Path(found["root"]).name]
    (tmp_path / "rebuilt").mkdir()
    wheel_of(tmp_path / "once/context", tmp_path / "rebuilt")  # what the Dockerfile does with its context
    for name in (*offline.CONTEXT, "containers/nginx.conf", "containers/offline/docker-entrypoint.sh"):
        ours, theirs = project.root() / name, Path(found["root"]) / name
        assert theirs.is_dir() if ours.is_dir() else theirs.read_bytes() == ours.read_bytes()
    assert os.access(Path(found["root"]) / "containers/offline/docker-entrypoint.sh", os.X_OK)


def test_from_a_wheel_commands_get_as_far_as_the_engine(python: Path, tmp_path: Path) -> None:
    wdm = python.with_name("wdm")
    environment = {"XDG_STATE_HOME": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/no-engine"}
    assert "--offline" in run(wdm, "images", "build", "--help", folder=tmp_path, **environment).stdout
    for command in (("up", "--runtime", "docker"), ("images", "build"), ("images", "build", "--offline")):
        error = run(wdm, *command, folder=tmp_path, code=4, **environment).stderr
        assert "no-engine" in error
        assert "clone" not in error
    assert (
        "verdict: holds"
        in run(wdm, "chaos", "store-crash", "--runtime", "sim", "--seed", "1", folder=tmp_path, **environment).stdout
    )


def test_an_installation_without_these_files_says_so(python: Path, tmp_path: Path) -> None:
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    carried = packages / project.CARRIED
    hidden = carried.rename(packages / "hidden")
    try:
        failed = run(python, "-c", LOOKED_AT, folder=tmp_path, code=1, XDG_STATE_HOME=str(tmp_path)).stderr
    finally:
        hidden.rename(carried)
    assert "install the wheel of wdm, or use its clone" in failed


def test_the_sdist_runs_its_tests(sdist: Path) -> None:
    """Some of them, with its own code: `tests` are in it, and what they read."""
    some = ("test_scenarios.py", "test_workloads.py", "test_layout.py", "test_architecture.py", "test_page.py")
    names = [f"tests/unit/{name}" for name in some]
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    done = run(sys.executable, "-m", "pytest", *options, *names, folder=sdist, PYTHONPATH=str(sdist))
    assert " passed" in done.stdout
