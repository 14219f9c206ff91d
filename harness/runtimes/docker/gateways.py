"""Several gateways as containers: services for the second file of Compose, each made from the gateway of the first one.

Each has a port of its own on loopback. All of them ask for the same range of ports, and the engine gives each one that is free,
so that a gateway that starts again has the port of before.
"""

from typing import Any

from harness.runtimes.docker import layout, project


def services(count: int) -> dict[str, Any]:
    """Return the services of Compose for this many gateways, and the gateway of the first file without a container."""
    row = {"file": str(project.compose_file()), "service": layout.GATEWAY}
    made: dict[str, Any] = {layout.GATEWAY: {"profiles": ["alone"]}}  # a profile that nobody names
    for name in layout.instances(layout.GATEWAY, 1, gateways=count):
        made[name] = {"extends": row, "networks": list(layout.DOORS)}
    return made


def drain_signal(node: str) -> str:
    """Return the signal for the regular end of a node: nginx would cut off its requests at a SIGTERM."""
    return "SIGQUIT" if is_gateway(node) else "SIGTERM"


def is_gateway(node: str) -> bool:
    """Return whether a node is a gateway."""
    return node.partition("-")[0] == layout.GATEWAY
