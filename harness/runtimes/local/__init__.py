"""The local runtime: services, stores and gateway as processes of this machine, bound to loopback only."""

from harness.runtimes.local.deployment import LocalDeployment
from harness.runtimes.local.spec import Spec

__all__ = ["LocalDeployment", "Spec"]
