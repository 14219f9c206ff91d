"""The meaning of a request line: the service that it goes to, and the route and parameters that it names there.

Every gateway has the same rules: that of processes calls ``service_of``, ``containers/nginx.conf`` spells them as patterns,
the simulator calls ``meaning``, which does without a server's router. ``tests/contract/requests.py`` has them row by row.
"""

from typing import NamedTuple
from urllib.parse import unquote

from protocols.shop.ids import BadId, check_escapes, shown
from protocols.shop.request_context import Answer, refused
from protocols.shop.routes import ROUTES, Route
from protocols.shop.services import PREFIXES

_SERVICE_OF = {prefix[1:]: service for service, prefix in PREFIXES.items()}


class Meant(NamedTuple):
    """A request that a service answers. ``route`` is None for the health check of that service."""

    service: str
    route: Route | None
    parameters: dict[str, str]


def service_of(raw: str) -> str | None:
    """Return the service of a raw path; None for a path of no service, or one that only services may request."""
    path = unquote(raw.partition("?")[0])
    segments = path.split("/")
    if path[:1] != "/" or "internal" in (segment.lower() for segment in segments) or {".", ".."} & {*segments}:
        return None
    return _SERVICE_OF.get(segments[1]) if len(segments) > 2 and raw.startswith(f"/{segments[1]}/") else None


def check_path(raw: str) -> None:
    """Raise ``BadId`` for a raw path whose escapes are broken, or that contains an escaped NUL: no server passes it on."""
    path = raw.partition("?")[0]
    check_escapes(path)
    if "%00" in path:
        raise BadId(f"a path contains no %00, unlike {shown(raw)}")


def meaning(method: str, raw: str) -> Meant | Answer:
    """Return the request's service, route and parameters, or a 4xx with the reason. HEAD is GET."""
    try:
        check_path(raw)
    except BadId as error:
        return refused(400, str(error))
    service = service_of(raw)
    if service is None:
        return refused(404, f"no such path: {shown(raw)}")
    steps = [unquote(step) for step in raw.partition("?")[0].split("/")[2:]]
    if steps == ["health"]:
        return Meant(service, None, {})
    fitting = [(route, values) for route in ROUTES if (values := _parameters(route, service, steps)) is not None]
    for route, parameters in fitting:
        if route.method == ("GET" if method == "HEAD" else method):
            return Meant(service, route, parameters)
    if fitting:
        return refused(405, f"{method} is no method of {shown(raw)}")
    return refused(404, f"no such path: {shown(raw)}")


def _parameters(route: Route, service: str, steps: list[str]) -> dict[str, str] | None:
    """Return the route's parameters with their values in the path, or None if the path is not this route's."""
    names = route.path.split("/")[1:]
    if route.service != service or len(names) != len(steps):
        return None
    values = dict(zip(names, steps, strict=True))
    if any((not step if name[0] == "{" else name != step) for name, step in values.items()):
        return None
    return {name[1:-1]: step for name, step in values.items() if name[0] == "{"}
