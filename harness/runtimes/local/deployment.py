"""A deployment of processes on loopback."""

from harness.runtimes.deployment.deployment import Deployment
from harness.runtimes.local.platform import LocalPlatform


class LocalDeployment(Deployment):
    """A deployment of processes of this machine. Its data is removed with its folder."""

    make_platform = LocalPlatform
