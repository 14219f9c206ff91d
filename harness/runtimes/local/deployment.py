"""A deployment of processes on loopback."""

from harness.runtimes.deployment.deployment import Deployment
from harness.runtimes.local.platform import LocalPlatform


class LocalDeployment(Deployment):
    """Processes of this machine. Its data goes with its folder."""

    make_platform = LocalPlatform
