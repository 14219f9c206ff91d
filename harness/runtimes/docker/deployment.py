"""A deployment of containers."""

from typing import Any

from harness.runtimes.deployment.deployment import Deployment
from harness.runtimes.docker.platform import ContainerPlatform


class DockerDeployment(Deployment):
    """A deployment of containers of the Docker engine. Its data is removed with it."""

    make_platform = ContainerPlatform

    def usage(self) -> list[dict[str, Any]]:
        """Return the resources that each container has used so far; empty before it is up."""
        assert isinstance(self.platform, ContainerPlatform)
        return self.platform.usage()
