"""The images that the containers are made of: which they are, whether they are there, and how a registry makes them."""

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
from harness.runtimes.docker.engine_client import endpoint, in_words, told
from harness.runtimes.docker.project import compose_file, root

Say = Callable[[str], None]

SOURCE = "wdm.source"
RUN = (
    "Dockerfile", "containers/service.lock", "protocols",
    "harness/faults", "harness/runtimes/base.py", "harness/runtimes/docker/links.py",
)  # fmt: skip
"""What the processes in our containers are made of, and the protocols that are registered: their image is to be of the same."""
Images = Mapping[str, str]
"""The image of each part of a shop, by the part: `service`, `valkey`, `nginx`, and the kind of broker if there is one."""

SHOP = ("service", "valkey", "nginx")
EXTRA = ("rabbitmq", "kafka")
"""Brokers with an image of their own."""


def variable(part: str) -> str:
    """What `docker-compose.yml` calls it."""
    return f"WDM_{part.upper()}_IMAGE"


def variables(images: Images) -> dict[str, str]:
    """What Compose is to be told, for it to take these."""
    return {variable(part): name for part, name in images.items()}


def official() -> Images:
    """The defaults of `docker-compose.yml`, which is where their versions are pinned."""
    text = compose_file().read_text("utf-8")
    found = {part: re.search(rf"\${{{variable(part)}:-([^}}]+)}}", text) for part in (*SHOP, *EXTRA)}
    return {part: match[1] for part, match in found.items() if match}


OFFLINE: Images = {part: f"wdm-offline/{part}" for part in (*SHOP, *EXTRA)}


def choose(client: Any, broker: str = "") -> Images:
    """The images to use: those that `WDM_*_IMAGE` name, else the official ones, else those built without a registry.

    Never pulls. Raises `EnvironmentFailure` if some are absent or the service's was made of other sources than these.
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
    """A digest of everything that a service's process is made of."""
    project = tomllib.loads((root() / "pyproject.toml").read_text("utf-8"))["project"]
    digest = hashlib.sha256(json.dumps(project["entry-points"], sort_keys=True).encode())
    for file in sorted(_files(RUN)):
        digest.update(f"{file.relative_to(root()).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def build(client: Any, say: Say, brokers: Sequence[str] = ()) -> Images:
    """The official images: pull all but ours, which is built."""
    images = {part: name for part, name in official().items() if part in (*SHOP, *brokers)}
    for name in (name for part, name in images.items() if part != "service"):
        say(f"pulling {name}")
        with told(f"{name} cannot be pulled (without a registry: `wdm images build --offline`)"):
            client.images.pull(name)
    say(f"building {images['service']}")
    tool = find()
    command = [*tool.command, "--file", str(compose_file()), "build", "--build-arg", f"SOURCE={source()}", "order"]
    said = {"WDM_SECRET": "-", "WDM_STORE_PASSWORD": "-", "DOCKER_HOST": endpoint().host}
    run(command, f"{images['service']} cannot be built", env={**os.environ, **said})
    return images


# ---------------------------------------------------------------- what making them shares


def find_image(client: Any, name: str) -> Any:
    from docker.errors import ImageNotFound  # noqa: PLC0415 - slow to import, and only this runtime needs it

    with told("the engine cannot list its images"):
        try:
            return client.images.get(name)
        except ImageNotFound:
            return None


def run(command: list[str], what: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=root(), check=False)
    if done.returncode:
        raise EnvironmentFailure(f"{what}: {in_words(done.stderr)}")


def _files(names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        path = root() / name
        found = path.rglob("*") if path.is_dir() else iter((path,))
        yield from (file for file in found if file.is_file() and "__pycache__" not in file.parts)
