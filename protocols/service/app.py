"""The HTTP interface of a service process: the public contract, messages, health, metrics and the operator's functions."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import structlog
from aiohttp import web

from protocols.service import admin, faults
from protocols.service.codec import BadMessage
from protocols.service.http import body_of, has_secret, json_response
from protocols.service.links.frames import UPGRADE
from protocols.service.links.http import HttpLink, RejectedMessage
from protocols.service.links.peers import PATH, SECRET
from protocols.service.links.tcp import TcpLink
from protocols.service.metrics import exposition
from protocols.service.service_process import ServiceProcess
from protocols.shop.idempotency_key import FINAL_HEADER, KEY_HEADER, BadKey, parse_key
from protocols.shop.ids import BadId, check_escapes
from protocols.shop.request_context import Answer, refused, serve
from protocols.shop.routes import ROUTES, Route
from protocols.shop.services import PREFIXES

Handler = Callable[[web.Request], Awaitable[web.Response]]

log = structlog.get_logger()


def application(process: ServiceProcess) -> web.Application:
    """Return the application with the contract's routes of this process's service, with and without the service's prefix."""
    app = web.Application(client_max_size=64 * 2**20)
    service = process.settings.service
    for route in ROUTES:
        if route.service == service:
            for prefix in ("", PREFIXES[service]):
                methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
                for method in methods:
                    app.router.add_route(method, prefix + route.path, _public(process, route))
    for prefix in ("", PREFIXES[service]):
        app.router.add_get(prefix + "/health", _health(process))
    app.router.add_get("/metrics", _metrics(process))
    if isinstance(process.link, HttpLink):
        app.router.add_post(PATH, _trusted(process, _messages(process.link)))
    elif isinstance(process.link, TcpLink):
        app.router.add_post(PATH, _trusted(process, _frames(process.link)))
    app.router.add_post(faults.PATH, _trusted(process, _faults(process)))
    app.router.add_get(faults.PATH, _trusted(process, _faults(process)))
    app.router.add_get("/internal/dead-letters", _trusted(process, _dead_letters(process)))
    app.router.add_get("/internal/txns", _trusted(process, _listed(process)))
    app.router.add_get("/internal/ended", _trusted(process, _ended(process)))
    app.router.add_get("/internal/txns/{txn}", _trusted(process, _shown(process)))
    app.router.add_post("/internal/txns/{txn}/resolve", _trusted(process, _resolved(process)))
    return app


def _public(process: ServiceProcess, route: Route) -> Handler:
    context, handler = process.service.context, route.handler
    tally = process.requests.setdefault(route.path, {})

    async def handle(request: web.Request) -> web.Response:
        own = replace(context, gone=lambda: request.transport is None) if route.long else context
        try:
            check_escapes(request.raw_path.partition("?")[0])
            key = parse_key(request.headers.get(KEY_HEADER, ""))
            answer = await serve(handler, own, key, **request.match_info)
        except (BadId, BadKey) as error:
            answer = refused(400, str(error))  # a 400 with every setting of `statuses`: no route has such a parameter
        tally[answer.status] = tally.get(answer.status, 0) + 1
        return _response(answer)

    return handle


def _response(answer: Answer) -> web.Response:
    if isinstance(answer.body, str):
        return web.Response(status=answer.status, text=answer.body)
    response = json_response(answer.body, answer.status)
    if not answer.final:
        response.headers[FINAL_HEADER] = "no"
    return response


def _trusted(process: ServiceProcess, handler: Handler) -> Handler:
    secret = process.settings.secret.encode()

    async def handle(request: web.Request) -> web.Response:
        if not has_secret(request, SECRET, secret):
            return web.Response(status=403, text="only services may send this: the shared secret is missing or wrong")
        return await handler(request)

    return handle


def _messages(link: HttpLink) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            answer = await link.answer(await body_of(request))
        except BadMessage as error:
            return web.Response(status=400, text=str(error))
        except RejectedMessage as error:
            return web.Response(status=422, text=str(error))
        return web.Response(body=answer) if answer else web.Response(status=204)

    return handle


def _frames(link: TcpLink) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        transport = request.transport
        if request.headers.get("upgrade") != UPGRADE or transport is None:
            return web.Response(status=426, text="messages come as frames", headers={"upgrade": UPGRADE})
        link.accept(transport)
        return web.Response()  # it reaches nobody: the server sees the connection as closed

    return handle


def _faults(process: ServiceProcess) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            if request.method == "POST":
                process.fault_injector.apply(faults.from_json(await body_of(request)))
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        return web.Response(body=faults.to_json(process.fault_injector.faults), content_type="application/json")

    return handle


def _health(process: ServiceProcess) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        body = {
            "service": process.settings.service,
            "node": process.settings.node,
            "store": process.store.up,
            "link": process.link.up,
            "dead_letters": process.link.dead.count,
        }
        if process.link.trouble:
            body["trouble"] = process.link.trouble
        return json_response(body, 200 if process.store.up else 503)

    return handle


def _metrics(process: ServiceProcess) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=exposition(process), headers={"content-type": "text/plain; version=0.0.4"})

    return handle


def _dead_letters(process: ServiceProcess) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return json_response({"count": process.link.dead.count, "last": process.link.dead.last()})

    return handle


def _listed(process: ServiceProcess) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return json_response(await admin.unfinished(process))

    return handle


def _ended(process: ServiceProcess) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return json_response(await admin.ended(process))

    return handle


def _shown(process: ServiceProcess) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return json_response(await admin.show(process, request.match_info["txn"]))

    return handle


def _resolved(process: ServiceProcess) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        verdict: dict[str, Any] = await admin.resolve(process, request.match_info["txn"])
        return json_response(verdict)

    return handle
