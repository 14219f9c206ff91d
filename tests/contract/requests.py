"""Requests as bytes, with the status that every gateway answers: the local one, nginx in containers, and the simulator's.

``{item}`` and ``{order}`` stand for ids that exist, ``{host}`` for the Host header's value. A row whose ``simulated`` is false is
about bytes on a connection, which the simulator has none of.
"""

from typing import NamedTuple

BIG = 2**20 + 1


class Row(NamedTuple):
    name: str
    request: bytes
    status: int
    simulated: bool = False


def get(target: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """A request of HTTP/1.1 that closes its connection."""
    lines = [f"{method} {target} HTTP/1.1", "Host: {host}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + body


def post(target: str, *headers: str, body: bytes = b"") -> bytes:
    return get(target, *headers, method="POST", body=body)


def _plain(name: str, target: str, status: int, method: str = "GET") -> Row:
    return Row(name, get(target, method=method), status, simulated=True)


ROWS = (
    # -------- what is there
    _plain("find", "/stock/find/{item}", 200),
    _plain("query string", "/stock/find/{item}?a=b&c", 200),
    _plain("query of dots", "/stock/find/{item}?a=/../%zz", 200),
    _plain("HEAD", "/stock/find/{item}", 200, "HEAD"),
    _plain("health", "/health", 200),
    _plain("health of orders", "/orders/health", 200),
    _plain("health of stock", "/stock/health", 200),
    _plain("health of payment", "/payment/health", 200),
    _plain("health with a query", "/health?x=1", 200),
    _plain("escaped letters", "/stock/%66ind/{item}", 200),
    # -------- what is not there
    _plain("unknown id", "/stock/find/nothing", 404),
    _plain("slash in an id", "/stock/find/a%2Fb", 404),
    _plain("percent in an id", "/stock/find/a%25b", 404),
    _plain("question mark in an id", "/stock/find/a%3Fb%23", 404),
    _plain("umlaut in an id", "/stock/find/%C3%B6", 404),
    _plain("space in an id", "/stock/find/a%20b", 404),
    _plain("plus in an id", "/stock/find/a+b", 404),
    _plain("item with a slash", "/orders/addItem/{order}/a%2Fb/1", 404, "POST"),
    _plain("unknown route", "/stock/cart/7", 404),
    _plain("root", "/", 404),
    _plain("prefix only", "/stock", 404),
    _plain("prefix and slash", "/stock/", 404),
    _plain("no prefix", "/find/{item}", 404),
    _plain("prefix that goes on", "/stockings/find/{item}", 404),
    _plain("health that goes on", "/healthy", 404),
    _plain("health and slash", "/health/", 404),
    _plain("trailing slash", "/stock/find/{item}/", 404),
    _plain("double slash first", "//stock/find/{item}", 404),
    _plain("double slash inside", "/stock//find/{item}", 404),
    _plain("escaped prefix", "/%73tock/find/{item}", 404),
    _plain("escaped slash in the route", "/stock%2Ffind/{item}", 404),
    _plain("other case", "/Stock/find/{item}", 404),
    _plain("metrics", "/metrics", 404),
    # -------- what is for services among themselves, however it is spelt
    _plain("internal", "/stock/internal/txns", 404),
    _plain("internal, escaped", "/stock/%69nternal/txns", 404),
    _plain("internal, capital", "/stock/INTERNAL/txns", 404),
    _plain("internal behind escaped slashes", "/stock/x%2Finternal%2Ftxns", 404),
    _plain("internal behind a step", "/stock/../internal/txns", 404),
    _plain("a step", "/stock/./find/{item}", 404),
    _plain("two steps", "/stock/find/../find/{item}", 404),
    _plain("escaped steps", "/stock/%2e%2e/metrics", 404),
    _plain("half escaped steps", "/stock/.%2E/metrics", 404),
    _plain("escaped step in an id", "/stock/find/..%2Fhealth", 404),
    _plain("step as an id", "/stock/find/%2e%2e", 404),
    _plain("item that is another route", "/orders/addItem/{order}/..%2Fhealth/1", 404, "POST"),
    # -------- what is no id and no path
    _plain("NUL", "/stock/find/%00", 400),
    _plain("NUL inside", "/stock/find/a%00b", 400),
    _plain("control character", "/stock/find/a%0Ab", 400),
    _plain("delete", "/stock/find/%7f", 400),
    _plain("no UTF-8", "/stock/find/%ff", 400),
    _plain("half of UTF-8", "/stock/find/%c3", 400),
    _plain("surrogate", "/stock/find/%ed%a0%80", 400),
    _plain("overlong", "/stock/find/" + "x" * 256, 400),
    _plain("overlong in bytes", "/stock/find/" + "%C3%B6" * 128, 400),
    _plain("longest", "/stock/find/" + "x" * 255, 404),
    _plain("lone percent", "/stock/find/%", 400),
    _plain("percent without digits", "/stock/find/%zz", 400),
    _plain("no UTF-8 user", "/orders/create/%fe", 400, "POST"),
    _plain("no amount", "/stock/add/{item}/-1", 400, "POST"),
    # -------- methods
    _plain("GET of what is done", "/orders/checkout/{order}", 405),
    _plain("POST of what is read", "/stock/find/{item}", 405, "POST"),
    _plain("DELETE", "/stock/find/{item}", 405, "DELETE"),
    _plain("PUT", "/stock/find/{item}", 405, "PUT"),
    _plain("OPTIONS", "/stock/find/{item}", 405, "OPTIONS"),
    _plain("PATCH", "/stock/find/{item}", 405, "PATCH"),
    Row("TRACE", get("/stock/find/{item}", method="TRACE"), 405),
    Row("CONNECT", get("{host}", method="CONNECT"), 400),
    Row("method of nobody", get("/stock/find/{item}", method="BREW"), 400),
    Row("method in small letters", get("/stock/find/{item}", method="get"), 400),
    Row("OPTIONS of everything", get("*", method="OPTIONS"), 400),
    # -------- the form of the request
    Row("absolute form", get("http://{host}/stock/find/{item}"), 200),
    Row("absolute form of internal", get("http://{host}/stock/internal/txns"), 404),
    Row("absolute form without a path", get("http://{host}"), 404),
    Row("no slash first", get("stock/find/{item}"), 400),
    Row("HTTP/1.0", b"GET /stock/find/{item} HTTP/1.0\r\n\r\n", 200),
    Row("HTTP/1.0 with Host", b"GET /stock/find/{item} HTTP/1.0\r\nHost: {host}\r\n\r\n", 200),
    Row("no Host", b"GET /stock/find/{item} HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
    Row("two Hosts", get("/stock/find/{item}", "Host: other"), 400),
    Row("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    Row("garbage", b"hello\r\n\r\n", 400),
    Row("header with a space", get("/stock/find/{item}", "a b: c"), 400),
    Row("long request line", get("/stock/find/" + "x" * 9_000), 400),
    Row("long query", get("/stock/find/{item}?" + "x" * 9_000), 400),
    Row("long header", get("/stock/find/{item}", "X-Long: " + "x" * 9_000), 400),
    Row("some headers", get("/stock/find/{item}", *(f"X-{n}: {'x' * 1000}" for n in range(40))), 200),
    Row("many headers", get("/stock/find/{item}", *(f"X-{n}: x" for n in range(2_000))), 400),
    # -------- bodies, which no route has
    Row("empty body", post("/stock/add/{item}/1", "Content-Length: 0"), 200),
    Row("no length", post("/stock/add/{item}/1"), 200),
    Row("body", post("/stock/add/{item}/1", "Content-Length: 5", body=b"hello"), 200),
    Row("chunked", post("/stock/add/{item}/1", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"), 200),
    Row("bad chunk", post("/stock/add/{item}/1", "Transfer-Encoding: chunked", body=b"zz\r\nhello\r\n0\r\n\r\n"), 400),
    Row("body of a GET", get("/stock/find/{item}", "Content-Length: 5", body=b"hello"), 200),
    Row("negative length", post("/stock/add/{item}/1", "Content-Length: -5"), 400),
    Row("no length's number", post("/stock/add/{item}/1", "Content-Length: five", body=b"hello"), 400),
    Row("two lengths", post("/stock/add/{item}/1", "Content-Length: 5", "Content-Length: 6", body=b"hello!"), 400),
    Row(
        "length and chunks",
        post(
            "/stock/add/{item}/1", "Content-Length: 5", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"
        ),
        400,
    ),
    Row("too long a body", post("/stock/add/{item}/1", f"Content-Length: {BIG}", body=b"x" * BIG), 413),
    Row(
        "too long in chunks",
        post("/stock/add/{item}/1", "Transfer-Encoding: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (BIG, b"x" * BIG)),
        413,
    ),
    Row("expects without a body", post("/stock/add/{item}/1", "Expect: 100-continue", "Content-Length: 0"), 200),
    Row("expects something", post("/stock/add/{item}/1", "Expect: the-unexpected"), 200),
    Row("expects", post("/stock/add/{item}/1", "Expect: 100-continue", "Content-Length: 5", body=b"hello"), 200),
)  # fmt: skip
