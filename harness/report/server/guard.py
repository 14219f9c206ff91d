"""What keeps other pages, other machines and odd paths out.

The page listens on loopback alone; that does not keep a web page in the same browser from asking it under a name that its owner
has pointed at 127.0.0.1 (DNS rebinding). So only requests to our own names are answered, nothing may frame or script
the pages, and a path is never put together from what was asked: it is looked up among what there is.
"""

from collections.abc import Callable, Iterable, Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from harness.report.html.page import BASE, policy

NAMES = ("127.0.0.1", "localhost", "[::1]")
FRAMES = "frame-ancestors 'none'"
OWN = f"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; {BASE}; {FRAMES}"
REPORT = f"{policy()}; {FRAMES}"
HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def hosts(port: int) -> frozenset[str]:
    """What a request to this port may be addressed to."""
    return frozenset(f"{name}:{port}" for name in NAMES)


def guard(allowed: Callable[[], Iterable[str]]) -> Middleware:
    """A middleware. `allowed` are the values of the Host header that are ours, known once the port is."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("Host", "") not in allowed():
            return web.Response(status=403, text="this page answers to 127.0.0.1 and localhost alone")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="this page only shows")
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return web.Response(status=403, text="this page is not for other pages")
        return await handler(request)

    return guarded


async def protect(request: web.Request, response: web.StreamResponse) -> None:  # noqa: ARG001  aiohttp's signature
    """On every response, before it leaves."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", OWN)
