"""`wdm images`: the container images of the docker runtime."""

from contextlib import closing

import click

from harness.runtimes.docker import engine_client
from harness.runtimes.docker import images as made
from harness.runtimes.docker.offline import build_offline
from wdm import ui
from wdm.exits import OK
from wdm.options import common


@click.group()
def images() -> None:
    """Build the container images of the docker runtime."""


@images.command()
@common
@click.option(
    "--offline", is_flag=True, help="Build from the distribution's packages and from wheels, without a registry."
)
@click.option(
    "--with",
    "brokers",
    multiple=True,
    type=click.Choice(made.EXTRA),
    help="Broker to build an image for; `--transport streams` needs none of its own.",
)
def build(offline: bool, brokers: tuple[str, ...]) -> int:
    """Build every image that `wdm up --runtime docker` needs.

    The images have to be built again after each change of the sources, which is quick.
    """
    with closing(engine_client.connect(timeout_s=600)) as client:
        done = (build_offline if offline else made.build)(client, ui.progress, brokers)
    ui.progress(f"made {', '.join(done.values())}")
    ui.next_step("`wdm up --runtime docker`, or `wdm chaos --runtime docker`")
    return OK
