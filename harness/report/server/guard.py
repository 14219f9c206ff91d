"""The protection of the pages from other pages, other machines and odd paths.

The server listens on loopback alone. A web page in the same browser can still reach it under a name that its owner has
pointed at 127.0.0.1 (DNS rebinding). Therefore only requests to the names of this server have an answer, no page may frame or
script these pages, and no path is built from a request: a name is looked up among the existing folders.
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
    """Return the allowed values of the Host header for this port."""
    return frozenset(f"{name}:{port}" for name in NAMES)


def guard(allowed: Callable[[], Iterable[str]]) -> Middleware:
    """Return a middleware that rejects foreign requests. `allowed` returns the allowed values of the Host header."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("Host", "") not in allowed():
            return web.Response(status=403, text="this server answers requests to 127.0.0.1 and localhost only")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="this server only shows pages: use GET")
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return web.Response(status=403, text="this server answers no request from other pages")
        return await handler(request)

    return guarded


async def protect(request: web.Request, response: web.StreamResponse) -> None:  # noqa: ARG001  aiohttp's signature
    """Set the security headers of a response."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", OWN)
