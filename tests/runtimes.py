"""The runtimes that a test runs on, from the same code. What needs an engine is marked `docker`: see CONTRIBUTING.md."""

import os
from contextlib import closing

import msgspec
import pytest

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.docker import compose, engine_client, images
from harness.runtimes.docker.deployment import DockerDeployment
from harness.runtimes.local.deployment import LocalDeployment
from protocols import registry
from protocols.service.links import TRANSPORTS

LOCAL = pytest.param("local", id="local")
DOCKER = pytest.param("docker", id="docker", marks=pytest.mark.docker)
EVERY_RUNTIME = (LOCAL, DOCKER)
EVERY_PROTOCOL = tuple(name for name in registry.names() if registry.load(name).safeguards)
"""All that promise something, and keep it: not the control."""


def need_docker(broker: str = "") -> None:
    """Skip where containers cannot be run, and say why. Where they have to be (``WDM_REQUIRE_DOCKER=1``), fail."""
    try:
        compose.find()
        with closing(engine_client.connect()) as client:
            images.choose(client, broker)
    except EnvironmentFailure as why:
        if os.environ.get("WDM_REQUIRE_DOCKER") == "1":
            pytest.fail(f"WDM_REQUIRE_DOCKER=1, but {why}")
        pytest.skip(str(why))


def need(runtime: str, transport: str = "http") -> None:
    """The same for a runtime by name, and for the broker of a transport."""
    if runtime == "docker":
        need_docker(TRANSPORTS[transport].broker)


def deployment(runtime: str, spec: Spec) -> LocalDeployment:
    """A shop on this runtime, not up yet."""
    need(runtime, spec.transport)
    if runtime == "docker":
        return DockerDeployment(msgspec.structs.replace(spec, runtime="docker"))
    return LocalDeployment(spec)
