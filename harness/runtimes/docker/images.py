"""The images of the containers: their names, a check that they exist and fit the sources, and their build from a registry."""

import hashlib
import json
import os
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import EnvironmentFailure
from harness.runtimes.docker.compose import find
from harness.runtimes.docker.engine_client import endpoint, engine_errors, error_line
from harness.runtimes.docker.project import compose_file, root

Say = Callable[[str], None]

SOURCE = "wdm.source"
RUN = (
    "Dockerfile", "containers/service.lock", "protocols",
    "harness/runtimes/base.py", "harness/runtimes/network", "harness/runtimes/docker/links.py",
)  # fmt: skip
"""The sources of the processes in the service image: an image made of other sources is rejected."""
Images = Mapping[str, str]
"""The image of each part of a shop, by the part: `service`, `valkey`, `nginx`, and the kind of broker if there is one."""

SHOP = ("service", "valkey", "nginx")
EXTRA = ("rabbitmq", "kafka")
"""Brokers with an image of their own."""


def variable(part: str) -> str:
    """Return the variable of a part's image in `docker-compose.yml`."""
    return f"WDM_{part.upper()}_IMAGE"


def variables(images: Images) -> dict[str, str]:
    """Return the variables by which Compose takes these images."""
    return {variable(part): name for part, name in images.items()}


def official() -> Images:
    """Return the images that are the defaults of `docker-compose.yml`, where their versions are pinned."""
    text = compose_file().read_text("utf-8")
    matches = {part: re.search(rf"\${{{variable(part)}:-([^}}]+)}}", text) for part in (*SHOP, *EXTRA)}
    return {part: match[1] for part, match in matches.items() if match}


OFFLINE: Images = {part: f"wdm-offline/{part}" for part in (*SHOP, *EXTRA)}


def choose(client: Any, broker: str = "") -> Images:
    """Return the images to use: those that `WDM_*_IMAGE` name, else the official ones, else those built without a registry.

    It never pulls. Raises `EnvironmentFailure` if an image is absent, or the service's is made of other sources.
    """
    parts = (*SHOP, *(part for part in EXTRA if part == broker))
    sets = [
        {part: os.environ.get(variable(part)) or images[part] for part in parts} for images in (official(), OFFLINE)
    ]
    missing = [[name for name in images.values() if find_image(client, name) is None] for images in sets]
    whole = [images for images, absent in zip(sets, missing, strict=True) if not absent]
    if not whole:
        absent = min(missing, key=len)
        with_broker = f" --with {broker}" if any(broker and broker in name for name in absent) else ""
        raise EnvironmentFailure(
            f"the engine has no image {', '.join(absent)}; make it with `wdm images build{with_broker}`, "
            f"or `wdm images build --offline{with_broker}` on a machine without an image registry"
        )
    made = source()
    for images in whole:
        if find_image(client, images["service"]).labels.get(SOURCE) == made:
            return images
    raise EnvironmentFailure(
        f"the image {whole[0]['service']} was made of other sources than these; make it again with `wdm images build`, "
        "or `wdm images build --offline` on a machine without an image registry"
    )


def source() -> str:
    """Return a digest (16 hexadecimal digits) of the sources of the processes in the service image."""
    project = tomllib.loads((root() / "pyproject.toml").read_text("utf-8"))["project"]
    digest = hashlib.sha256(json.dumps(project["entry-points"], sort_keys=True).encode())
    for file in sorted(_files(RUN)):
        digest.update(f"{file.relative_to(root()).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def build(client: Any, say: Say, brokers: Sequence[str] = ()) -> Images:
    """Pull the official images and build the service's; return them. Raises `EnvironmentFailure`."""
    images = {part: name for part, name in official().items() if part in (*SHOP, *brokers)}
    for name in (name for part, name in images.items() if part != "service"):
        say(f"pulling {name}")
        with engine_errors(f"{name} cannot be pulled (without a registry: `wdm images build --offline`)"):
            client.images.pull(name)
    say(f"building {images['service']}")
    tool = find()
    command = [*tool.command, "--file", str(compose_file()), "build", "--build-arg", f"SOURCE={source()}", "order"]
    variables = {"WDM_SECRET": "-", "WDM_STORE_PASSWORD": "-", "DOCKER_HOST": endpoint().host}
    run(command, f"{images['service']} cannot be built", env={**os.environ, **variables})
    return images


# ---------------------------------------------------------------- shared with `offline`


def find_image(client: Any, name: str) -> Any:
    """Return the engine's image of this name; None if it has none. Raises `EnvironmentFailure`."""
    from docker.errors import ImageNotFound  # noqa: PLC0415 - slow to import, and only this runtime needs it

    with engine_errors("the engine cannot list its images"):
        try:
            return client.images.get(name)
        except ImageNotFound:
            return None


def run(command: list[str], what: str, env: dict[str, str] | None = None) -> None:
    """Run a command in the root folder. Raises `EnvironmentFailure` that begins with `what` if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=root(), check=False)
    if done.returncode:
        raise EnvironmentFailure(f"{what}: {error_line(done.stderr)}")


def _files(names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        path = root() / name
        files = path.rglob("*") if path.is_dir() else iter((path,))
        yield from (file for file in files if file.is_file() and "__pycache__" not in file.parts)
