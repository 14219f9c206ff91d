"""`python -m protocols.service.dead_letters inject SERVICE NAME | list`: a broker's dead letters, from inside its network.

In containers only the services can reach the broker, so the harness runs this command in one of them; the broker's address
comes from the same variables as a service's (`settings.py`). `inject` sends the messages of the fault `poison` to a service
and prints their names, one a line; `list` prints the broker's dead letters in base64, one a line. Exit codes: 2 for a wrong
command line, 4 if the broker cannot be reached.
"""

import asyncio
import os
import sys
from base64 import b64encode

from protocols.registry import load
from protocols.service.links import poison, transport
from protocols.service.links.broker import BrokerLost
from protocols.service.settings import Settings, environment


async def main(*arguments: str) -> int:
    """Run one command and return its exit code."""
    settings = Settings.read(environment(os.environ))
    broker = transport(settings.transport)
    try:
        match arguments:
            case ("inject", service, name):
                protocol = load(settings.protocol)
                config = protocol.configure(settings.options, settings.ablate, settings.timing)
                messages = poison.messages(protocol, config, service, name)
                await broker.publish(settings.broker_url, service, *messages.values())
                print(*messages, sep="\n")
            case ("list",):
                bodies = await broker.dead_letters(settings.broker_url)
                print(*(b64encode(body).decode() for body in bodies), sep="\n")
            case _:
                print("error: the command is `inject SERVICE NAME` or `list`", file=sys.stderr)
                return 2
    except BrokerLost as error:
        print(f"error: the broker cannot be reached: {error}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
