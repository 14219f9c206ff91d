"""`wdm restart`: new lives for the services and gateways of a shop that stays up."""

import click

from harness.runtimes.deployment.restart import chosen
from harness.runtimes.deployment.restart import restart as restart_nodes
from harness.runtimes.deployment.state import StateFolder
from wdm import ui
from wdm.options import deployment, hint, running
from wdm.parameters import Text


@click.command()
@deployment
@click.argument("names", type=Text(), nargs=-1, metavar="[NAME]...")
@click.option("--rolling", is_flag=True, help="Restart one instance after the other; the others serve meanwhile.")
def restart(folder: StateFolder, names: tuple[str, ...], rolling: bool) -> int:
    """Restart the services and gateways of a shop, also one by one.

    NAME is a service (order), one process of it (order-1), or a gateway (gateway, gateway-1); without NAME, all services, and
    the gateways if there are several. Each process refuses new requests, answers those under way, and ends; its supervisor
    starts it again. Stores and broker run on.
    """
    shop = running(folder)
    nodes = chosen(shop, names)
    if [node.name for node in nodes] == ["gateway"] or (
        names and "gateway" in names and shop.deployment.spec.gateways == 1
    ):
        ui.progress("connections are refused while the one gateway restarts; `wdm up --gateways 2` starts another one")
    if shop.deployment.spec.workers == 1:
        ui.progress(
            "requests wait while the one instance of a service restarts; `wdm up --workers 2` gives each another one"
        )
    elif not rolling:
        ui.progress("requests wait while all instances of a service restart; with --rolling, another one serves them")
    restart_nodes(folder, shop, nodes, rolling=rolling, say=ui.progress)
    ui.next_step(f"`wdm status{hint(folder)}` shows the new processes")
    return 0
