"""The proxy of every link, in a container of its own between the others: `python -m harness.runtimes.docker.links`.

Its environment lists the links; the runtime's orders come over HTTP, with the deployment's secret.
"""

import asyncio
import json
import os
import signal
from random import Random
from typing import Literal

import msgspec
import uvloop
from aiohttp import web

from harness.runtimes.base import Rule
from harness.runtimes.network.proxy import Proxy
from protocols.service.http import BoundedServer, body_of, bound_logs, has_secret
from protocols.service.links.peers import SECRET
from protocols.service.settings import environment

PATH = "/orders"
VARIABLE = "WDM_LINKS"
CONTROL_PORT = 5000


class RuleOrder(msgspec.Struct, kw_only=True):
    """One call of `apply_rule`, `remove_rules` or `remove_all_rules`. `by` names the owner of the rule."""

    do: Literal["apply", "remove", "remove-all"]
    by: str = ""
    link_ids: list[tuple[str, str]] = []
    rule: Rule = Rule()
    seed: int = 0
    reset: bool = False


class Control:
    """The HTTP handler that receives orders for a proxy."""

    def __init__(self, proxy: Proxy, secret: str) -> None:
        self._proxy = proxy
        self._secret = secret.encode()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Return 204 once an order is carried out, 403 without the secret, 400 for a body that is no order."""
        if request.path == "/health":
            return web.Response(text="ok")
        if not has_secret(request, SECRET, self._secret):
            return web.Response(status=403, text="the secret is missing or wrong")
        try:
            self._carry_out(msgspec.json.decode(await body_of(request), type=RuleOrder))
        except (msgspec.MsgspecError, KeyError) as error:
            return web.Response(status=400, text=f"no order that can be carried out: {error}")
        return web.Response(status=204)

    def _carry_out(self, order: RuleOrder) -> None:
        match order.do:
            case "apply":
                self._proxy.apply_rule(order.by, order.link_ids, order.rule, Random(order.seed))
            case "remove":
                self._proxy.remove_rules(order.by, reset=order.reset)
            case "remove-all":
                self._proxy.remove_all_rules()


async def serve(proxy: Proxy, secret: str) -> None:
    """Run the proxy and its handler until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await proxy.start()
    runner = web.ServerRunner(BoundedServer(Control(proxy, secret).handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, None, CONTROL_PORT).start()
    await stopped.wait()
    await runner.cleanup()
    await proxy.stop()


def main() -> None:
    """Run the proxy of the links that the environment lists."""
    bound_logs()
    variables = environment(os.environ)
    proxy = Proxy()
    for source, to, host, port, at_port in json.loads(variables.get(VARIABLE, "[]")):
        proxy.add(source, to, port, host, ("", at_port))
    uvloop.run(serve(proxy, variables["WDM_SECRET"]))


if __name__ == "__main__":
    main()
