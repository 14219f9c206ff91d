"""`wdm status`: the nodes of a deployment."""

from dataclasses import asdict

import click

from harness.runtimes.deployment.copies import roles
from harness.runtimes.deployment.state import StateFolder
from wdm import ui
from wdm.exits import ENVIRONMENT, OK
from wdm.options import as_json, deployment, hint, running


@click.command()
@deployment
@as_json
def status(folder: StateFolder, as_json: bool) -> int:
    """Show the nodes of a shop and the state of each.

    Exit code 0 if every node runs under its supervisor; 4 if a node does not run, the supervisor is dead or does not respond,
    or nothing is up.
    """
    ui.name_leftovers()
    shop = running(folder)
    about = shop.deployment
    role = roles(about.spec, shop.nodes, about.store_urls, about.secret)
    if as_json:
        nodes = [
            {**asdict(node), "takes": sorted(node.takes), **({"role": role[node.name]} if node.name in role else {})}
            for node in shop.nodes
        ]
        head = {"protocol": about.spec.protocol, "runtime": about.runtime, "gateway": about.gateway}
        state = {"phase": about.phase, "supervised": shop.supervised, "troubles": list(shop.troubles)}
        ui.document({**head, **state, "nodes": nodes})
    else:
        click.echo(f"{about.spec.protocol} on the {about.runtime} runtime, {about.phase}: {about.gateway}")
        columns = ("node", "kind", "service", "pid", "url", "state")
        rows = [(node.name, node.kind, node.service, node.pid, node.url, node.state) for node in shop.nodes]
        if role:
            ui.table((*columns, "role"), [(*row, role.get(row[0], "")) for row in rows])
        else:
            ui.table(columns, rows)
    for trouble in shop.troubles:
        ui.error(trouble)
    if shop.supervised:
        ui.next_step(f"`wdm logs{hint(folder)} --follow`, or `wdm txn list{hint(folder)}`")
    else:
        ui.next_step(f"`wdm down{hint(folder)}` ends them, `wdm up{hint(folder)}` starts anew")
    return ENVIRONMENT if shop.troubles else OK
