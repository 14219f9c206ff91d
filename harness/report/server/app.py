"""The routes of the pages. They only read; the one file they write is a missing report."""

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
from harness.run.counterexample import NotReproducible
from protocols.service.http import LOOPBACK, BoundedRunner, listen

HERE = "harness.report.server"
HOST = LOOPBACK
LOOK_EVERY_S = 1.0
UNREADABLE = (HistoryError, ValueError, NotReproducible, EnvironmentFailure)
"""The errors of a run without a page."""

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Pages:
    """The pages of one catalog. `port` is 0 until the server listens."""

    def __init__(self, catalog: RunCatalog) -> None:
        self.catalog = catalog
        self.port = 0
        self.environment = Environment(loader=PackageLoader(HERE), autoescape=True, undefined=StrictUndefined)
        self._stopping = asyncio.Event()

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
        app.router.add_get("/runs/{name}/", self._report)
        app.router.add_get("/runs/{name}/part/{part}", self._report)
        app.router.add_get("/runs/{name}/{part}/report.html", self._report)
        app.router.add_get("/runs/{name}/file/{file}", self._file)
        return app

    async def _end(self, _: web.Application) -> None:
        self._stopping.set()

    async def _list(self, _: web.Request) -> web.Response:
        lines = await asyncio.to_thread(self.catalog.list)
        return self._page("list.html.j2", lines=lines, folder=str(self.catalog.folder), files=sorted(SHOWN))

    async def _report(self, request: web.Request) -> web.StreamResponse:
        name, part = request.match_info["name"], request.match_info.get("part", "")
        path = self.catalog.find(name, part)
        if path is None:
            return self._refusal(f"there is no run {part or name}")
        if not part and not request.path.endswith("/") and self.catalog.is_batch(path):
            raise web.HTTPFound(f"{request.path}/")  # the links on its page are relative to its folder
        try:
            page = await asyncio.to_thread(self.catalog.page, path)
        except UNREADABLE as error:
            return self._refusal(f"no report can be made of this run: {error}", 409)
        if page is None:
            return self._page("live.html.j2", name=name)
        return web.FileResponse(
            page, headers={"Content-Security-Policy": guard.REPORT, "Content-Type": "text/html; charset=utf-8"}
        )

    async def _file(self, request: web.Request) -> web.StreamResponse:
        path, name = self.catalog.find(request.match_info["name"]), request.match_info["file"]
        file_path = self.catalog.file(path, name) if path else None
        if file_path is None:
            return self._refusal(f"there is no such file of a run: {name}")
        return web.FileResponse(file_path, headers={"Content-Type": f"{SHOWN[name]}; charset=utf-8"})

    async def _compare(self, request: web.Request) -> web.Response:
        first, second = request.query.get("a", ""), request.query.get("b", "")
        try:
            page = await asyncio.to_thread(self.catalog.compared, first, second)
        except UNREADABLE as error:
            return self._refusal(f"these runs cannot be compared: {error}", 409)
        if page is None:
            return self._refusal("two single runs can be compared: choose them in the list")
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": guard.REPORT})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Send the whole list as server-sent events: at once, and after each change."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        known = ""
        try:
            while not self._stopping.is_set():
                lines = json.dumps(await asyncio.to_thread(self.catalog.list))
                await response.write(f"data: {lines}\n\n".encode() if lines != known else b": still here\n\n")
                known = lines
                await _wait(self._stopping, LOOK_EVERY_S)
        except (ConnectionResetError, asyncio.CancelledError):
            pass  # the browser has closed the connection
        return response

    def _page(self, template: str, status: int = 200, **context: Any) -> web.Response:
        text = self.environment.get_template(template).render(**context)
        return web.Response(text=text, content_type="text/html", status=status)

    def _refusal(self, why: str, status: int = 404) -> web.Response:
        return self._page("nothing.html.j2", status, why=why)


def _asset(name: str, kind: str) -> Answer:
    """Return the handler of a static file; a style follows that of the reports."""
    text = (files(HERE) / "static" / name).read_text("utf-8")
    if name.endswith(".css"):
        text = static("style.css") + text

    async def served(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type=kind)

    return served


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


@asynccontextmanager
async def served(folder: Path, port: int) -> AsyncIterator[str]:
    """Serve the pages and give their address. Port 0 stands for any free port. Raises `EnvironmentFailure` for a taken one."""
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
