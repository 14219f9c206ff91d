"""The aiohttp face of a node: the public contract, what services say to each other, health and metrics."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import structlog
from aiohttp import web

from protocols.service import admin, faults
from protocols.service.codec import BadMessage
from protocols.service.http import body_of, json_response, shows
from protocols.service.links.http import PATH, SECRET, HttpLink, RejectedMessage
from protocols.service.metrics import exposition
from protocols.service.node import Node
from protocols.shop.ids import BadId, check_escapes
from protocols.shop.request_context import Answer, refused, serve
from protocols.shop.routes import PREFIXES, ROUTES, Route

Served = Callable[[web.Request], Awaitable[web.Response]]

log = structlog.get_logger()


def application(node: Node) -> web.Application:
    """The contract's routes of this node's service, with the service's prefix and without."""
    app = web.Application(client_max_size=64 * 2**20)
    service = node.settings.service
    for route in ROUTES:
        if route.service == service:
            for prefix in ("", PREFIXES[service]):
                methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
                for method in methods:
                    app.router.add_route(method, prefix + route.path, _public(node, route))
    for prefix in ("", PREFIXES[service]):
        app.router.add_get(prefix + "/health", _health(node))
    app.router.add_get("/metrics", _metrics(node))
    if isinstance(node.link, HttpLink):
        app.router.add_post(PATH, _trusted(node, _messages(node.link)))
    app.router.add_post(faults.PATH, _trusted(node, _faults(node)))
    app.router.add_get(faults.PATH, _trusted(node, _faults(node)))
    app.router.add_get("/internal/dead-letters", _trusted(node, _dead_letters(node)))
    app.router.add_get("/internal/txns", _trusted(node, _listed(node)))
    app.router.add_get("/internal/ended", _trusted(node, _ended(node)))
    app.router.add_get("/internal/txns/{txn}", _trusted(node, _shown(node)))
    app.router.add_post("/internal/txns/{txn}/resolve", _trusted(node, _resolved(node)))
    return app


def _public(node: Node, route: Route) -> Served:
    context, handler = node.service.context, route.handler
    tally = node.requests.setdefault(route.path, {})

    async def served(request: web.Request) -> web.Response:
        own = replace(context, gone=lambda: request.transport is None) if route.long else context
        try:
            check_escapes(request.raw_path.partition("?")[0])
            answer = await serve(handler, own, **request.match_info)
        except BadId as error:
            answer = refused(400, str(error))  # in whatever statuses this shop answers
        tally[answer.status] = tally.get(answer.status, 0) + 1
        return _response(answer)

    return served


def _response(answer: Answer) -> web.Response:
    if isinstance(answer.body, str):
        return web.Response(status=answer.status, text=answer.body)
    return json_response(answer.body, answer.status)


def _trusted(node: Node, handler: Served) -> Served:
    secret = node.settings.secret.encode()

    async def served(request: web.Request) -> web.Response:
        if not shows(request, SECRET, secret):
            return web.Response(status=403, text="this is between services: the shared secret is missing or wrong")
        return await handler(request)

    return served


def _messages(link: HttpLink) -> Served:
    async def served(request: web.Request) -> web.Response:
        try:
            answer = await link.answer(await body_of(request))
        except BadMessage as error:
            return web.Response(status=400, text=str(error))
        except RejectedMessage as error:
            return web.Response(status=422, text=str(error))
        return web.Response(body=answer) if answer else web.Response(status=204)

    return served


def _faults(node: Node) -> Served:
    async def served(request: web.Request) -> web.Response:
        try:
            if request.method == "POST":
                node.injected.become(faults.read(await body_of(request)))
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        return web.Response(body=faults.written(node.injected.faults), content_type="application/json")

    return served


def _health(node: Node) -> Served:
    async def served(request: web.Request) -> web.Response:
        body = {
            "service": node.settings.service,
            "node": node.settings.node,
            "store": node.store.up,
            "link": node.link.up,
            "dead_letters": node.link.dead.count,
        }
        if node.link.trouble:
            body["trouble"] = node.link.trouble
        return json_response(body, 200 if node.store.up else 503)

    return served


def _metrics(node: Node) -> Served:
    async def served(request: web.Request) -> web.Response:
        return web.Response(body=exposition(node), headers={"content-type": "text/plain; version=0.0.4"})

    return served


def _dead_letters(node: Node) -> Served:
    async def served(request: web.Request) -> web.Response:
        return json_response({"count": node.link.dead.count, "last": node.link.dead.last()})

    return served


def _listed(node: Node) -> Served:
    async def served(request: web.Request) -> web.Response:
        return json_response(await admin.unfinished(node))

    return served


def _ended(node: Node) -> Served:
    async def served(request: web.Request) -> web.Response:
        return json_response(await admin.ended(node))

    return served


def _shown(node: Node) -> Served:
    async def served(request: web.Request) -> web.Response:
        return json_response(await admin.show(node, request.match_info["txn"]))

    return served


def _resolved(node: Node) -> Served:
    async def served(request: web.Request) -> web.Response:
        verdict: dict[str, Any] = await admin.resolve(node, request.match_info["txn"])
        return json_response(verdict)

    return served
