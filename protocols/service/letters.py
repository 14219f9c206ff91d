"""``python -m protocols.service.letters plant SERVICE NAME | buried``: the broker's dead letters, from a service's own place.

For brokers that only services can reach, as in containers. The variables say which broker, as to a service. ``buried`` prints the
dead letters in base64, a line each; ``plant`` the names of what it has sent. Exits with 4 if the broker cannot be asked.
"""

import asyncio
import os
import sys
from base64 import b64encode

from protocols.registry import load
from protocols.service.links import poison, transport
from protocols.service.links.broker import BrokerLost
from protocols.service.settings import Settings, environment


async def main(*words: str) -> int:
    settings = Settings.read(environment(os.environ))
    broker = transport(settings.transport)
    try:
        match words:
            case ("plant", service, name):
                protocol = load(settings.protocol)
                config = protocol.configure(settings.options, settings.ablate, settings.timing)
                made = poison.letters(protocol, config, service, name)
                await broker.put(settings.broker_url, service, *made.values())
                print(*made, sep="\n")
            case ("buried",):
                print(*(b64encode(body).decode() for body in await broker.buried(settings.broker_url)), sep="\n")
            case _:
                print("error: say plant SERVICE NAME, or buried", file=sys.stderr)
                return 2
    except BrokerLost as lost:
        print(f"error: the broker cannot be asked: {lost}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
