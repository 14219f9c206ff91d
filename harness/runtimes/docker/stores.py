"""The copies of stores as containers: services for the second file of Compose, each made from a store of the first one."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.runtimes.deployment import valkey
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.docker import layout, owner, project

DATA = "/data"
# A copy keeps its promise to an elector in its configuration file, over all lives of the container. The file of another
# container, one of an earlier deployment, has another password and other addresses.
SCRIPT = (
    f'file={DATA}/$$HOSTNAME.conf && if [ ! -e "$$file" ]; then '
    f'rm -f {DATA}/*.conf && printf %s "$$WDM_STORE_CONFIGURATION" > {DATA}/new && mv {DATA}/new "$$file"; fi && '
    """trap '' XFSZ && exec docker-entrypoint.sh valkey-server "$$file" "$$@\""""
)


def services(owners: Iterable[str], spec: Spec, password: str) -> dict[str, Any]:
    """Return the services of Compose for the copies of every store, and the stores themselves without a container."""
    configuration = valkey.configuration(
        port=layout.STORE_PORT,
        password=password,
        data=Path(DATA),
        durability=spec.durability,
        memory_mb=spec.store_memory_mb,
        copied=True,
        own=valkey.elector_user(password),
        bind="*",
    )
    words = () if "follow-nobody" in spec.ablate else valkey.FOLLOW_NOBODY
    made: dict[str, Any] = {}
    for service in owners:
        store = f"{service}-store"
        made[store] = {"profiles": ["alone"]}  # a profile that nobody names
        for number, name in enumerate(_names(service, spec.servers), start=1):
            made[name] = {
                "extends": {"file": str(project.compose_file()), "service": store},
                "environment": {"WDM_STORE_CONFIGURATION": configuration},
                "command": ["sh", "-c", SCRIPT, "sh", *words],
                "networks": [f"{service}-copies"],
                "volumes": [f"{_volume(service, number)}:{DATA}"],
            }
    return made


def volumes(owners: Iterable[str], copies: int, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the volumes of Compose for the copies of every store, with those of the labels that a volume has."""
    kept = {name: value for name, value in labels.items() if name not in (owner.USER, owner.FOLDER, owner.PROCESS)}
    return {_volume(service, number): {"labels": kept} for service in owners for number in range(1, copies + 1)}


def _names(service: str, copies: int) -> list[str]:
    return layout.instances(f"{service}-store", 1, copies)


def _volume(service: str, number: int) -> str:
    return f"{service}-data-{number}"
