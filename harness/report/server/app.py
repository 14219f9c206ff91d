"""The routes of the page. Everything is read; nothing can be changed through it but a report that was missing."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.errors import EnvironmentFailure
from harness.history import HistoryError
from harness.report.html.page import static
from harness.report.server import guard
from harness.report.server.catalog import SHOWN, RunCatalog
from harness.run.counterexample import Unwalkable
from protocols.service.http import LOOPBACK, BoundedRunner, listen

HERE = "harness.report.server"
HOST = LOOPBACK
LOOK_EVERY_S = 1.0
UNREADABLE = (HistoryError, ValueError, Unwalkable, EnvironmentFailure)
"""Why no page can be made of a run."""

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Pages:
    """One shelf, shown. `port` is known once it listens."""

    def __init__(self, catalog: RunCatalog) -> None:
        self.catalog = catalog
        self.port = 0
        self.environment = Environment(loader=PackageLoader(HERE), autoescape=True, undefined=StrictUndefined)
        self._ending = asyncio.Event()

    def application(self) -> web.Application:
        app = web.Application(middlewares=[guard.guard(lambda: guard.hosts(self.port))])
        app.on_response_prepare.append(guard.protect)
        app.on_shutdown.append(self._end)
        app.router.add_get("/", self._list)
        app.router.add_get("/style.css", _asset("style.css", "text/css"))
        app.router.add_get("/script.js", _asset("script.js", "text/javascript"))
        app.router.add_get("/events", self._events)
        app.router.add_get("/compare", self._compare)
        app.router.add_get("/runs/{name}", self._report)
        app.router.add_get("/runs/{name}/part/{part}", self._report)
        app.router.add_get("/runs/{name}/file/{file}", self._file)
        return app

    async def _end(self, _: web.Application) -> None:
        self._ending.set()

    async def _list(self, _: web.Request) -> web.Response:
        lines = await asyncio.to_thread(self.catalog.list)
        return self._page("list.html.j2", lines=lines, folder=str(self.catalog.folder), files=sorted(SHOWN))

    async def _report(self, request: web.Request) -> web.StreamResponse:
        name, part = request.match_info["name"], request.match_info.get("part", "")
        path = self.catalog.find(name, part)
        if path is None:
            return self._nothing(f"there is no run {part or name}")
        try:
            page = await asyncio.to_thread(self.catalog.page, path)
        except UNREADABLE as error:
            return self._nothing(f"no report can be made of this run: {error}", 409)
        if page is None:
            return self._page("live.html.j2", name=name)
        return web.FileResponse(
            page, headers={"Content-Security-Policy": guard.REPORT, "Content-Type": "text/html; charset=utf-8"}
        )

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path, name = self.catalog.find(request.match_info["name"]), request.match_info["file"]
        found = self.catalog.file(path, name) if path else None
        if found is None:
            return self._nothing(f"there is no such file of a run: {name}")
        return web.FileResponse(found, headers={"Content-Type": f"{SHOWN[name]}; charset=utf-8"})

    async def _compare(self, request: web.Request) -> web.Response:
        first, second = request.query.get("a", ""), request.query.get("b", "")
        try:
            page = await asyncio.to_thread(self.catalog.compared, first, second)
        except UNREADABLE as error:
            return self._nothing(f"these runs cannot be compared: {error}", 409)
        if page is None:
            return self._nothing("two single runs can be compared: choose them in the list")
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": guard.REPORT})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: the whole list, whenever it has changed, and at once."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        known = ""
        try:
            while not self._ending.is_set():
                lines = json.dumps(await asyncio.to_thread(self.catalog.list))
                await response.write(f"data: {lines}\n\n".encode() if lines != known else b": still here\n\n")
                known = lines
                await _within(self._ending, LOOK_EVERY_S)
        except (ConnectionResetError, asyncio.CancelledError):
            pass  # whoever looked has gone
        return response

    def _page(self, template: str, status: int = 200, **context: Any) -> web.Response:
        text = self.environment.get_template(template).render(**context)
        return web.Response(text=text, content_type="text/html", status=status)

    def _nothing(self, why: str, status: int = 404) -> web.Response:
        return self._page("nothing.html.j2", status, why=why)


def _asset(name: str, kind: str) -> Answer:
    """Ours, and before a style that of the reports."""
    text = (files(HERE) / "static" / name).read_text("utf-8")
    if name.endswith(".css"):
        text = static("style.css") + text

    async def served(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type=kind)

    return served


async def _within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


@asynccontextmanager
async def served(folder: Path, port: int) -> AsyncIterator[str]:
    """The page's address while it is served. Port 0 takes any free one. Raises `EnvironmentFailure` if it is taken."""
    pages = Pages(RunCatalog(folder))
    runner = BoundedRunner(pages.application(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        pages.port = await listen(runner, HOST, port)
        yield f"http://{HOST}:{pages.port}/"
    except OSError as error:
        raise EnvironmentFailure(
            f"port {port} cannot be listened on: {error.strerror}; choose another with --port"
        ) from error
    finally:
        await runner.cleanup()
