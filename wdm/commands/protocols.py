"""`wdm protocols`: the installed protocols."""

from typing import Any

import click
from msgspec.structs import asdict

from protocols import registry
from protocols.core import Protocol
from protocols.service.links import TRANSPORTS
from wdm import ui
from wdm.options import as_json, common


@click.command()
@common
@as_json
def protocols(as_json: bool) -> int:
    """List the protocols: claims, options, safeguards."""
    installed = [registry.load(name) for name in registry.names()]
    if as_json:
        ui.document([_described(protocol) for protocol in installed])
    else:
        for protocol in installed:
            _show(protocol)
        click.echo("transports, for every protocol:\n")
        ui.table(("transport", "summary"), [(transport.name, transport.summary) for transport in TRANSPORTS.values()])
    ui.next_step(f"`wdm up --protocol {installed[0].name if installed else 'NAME'}`")
    return 0


def _described(protocol: Protocol) -> dict[str, Any]:
    return {
        "name": protocol.name,
        "summary": protocol.summary,
        "claims": dict(protocol.claims(protocol.configure()).rows()),
        "options": [asdict(option) for option in protocol.options],
        "safeguards": [asdict(safeguard) for safeguard in protocol.safeguards],
    }


def _show(protocol: Protocol) -> None:
    click.echo(f"{protocol.name}: {protocol.summary}\n")
    ui.table(("claim", "with the default options"), protocol.claims(protocol.configure()).rows())
    click.echo()
    ui.table(
        ("option", "default", "choices", "effect"),
        [(option.name, option.defaults, " ".join(option.choices), option.summary) for option in protocol.options],
    )
    click.echo()
    ui.table(
        ("safeguard", "rule", "fault without it"),
        [(safeguard.name, safeguard.summary, safeguard.opens) for safeguard in protocol.safeguards],
    )
    click.echo()
