"""The roles of servers in `wdm status`, from the elector's answer."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from harness.runtimes.base import Node
from harness.runtimes.deployment.copies import roles
from harness.runtimes.deployment.spec import Spec

SPEC = Spec(protocol="2pc", copies=3)
STORES = {
    "stock-store": {
        "primary": "stock-store-1",
        "copies": {
            "stock-store-1": {"epoch": 9, "bundles": 30, "primary": True, "follows": "", "offset": 1},
            "stock-store-2": {"epoch": 9, "bundles": 28, "primary": False, "follows": "stock-store-1", "offset": 1},
            "stock-store-3": {"epoch": 5, "bundles": 31, "primary": True, "follows": "", "offset": 1},
        },
    },
    "order-store": {
        "primary": "",
        "copies": {"order-store-1": {"epoch": 9, "bundles": 30, "primary": False, "follows": "", "offset": 0}},
    },
}


@pytest.fixture
def elector() -> Iterator[Node]:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"stores": STORES}).encode())

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Health)
    Thread(target=server.serve_forever, daemon=True).start()
    yield Node("elector", "elector", "", 1, f"http://127.0.0.1:{server.server_port}", "running")
    server.shutdown()
    server.server_close()


def test_each_server_has_its_role(elector: Node) -> None:
    assert roles(SPEC, [elector], {}, "") == {
        "stock-store-1": "primary of epoch 9",
        "stock-store-2": "copy, 2 bundles behind",
        "stock-store-3": "former primary of epoch 5",
        "order-store-1": "follows nobody",
    }


def test_an_elector_that_does_not_answer_shows_no_roles() -> None:
    assert roles(SPEC, [Node("elector", "elector", "", None, "http://127.0.0.1:1", "down")], {}, "") == {}
    assert roles(SPEC, [], {}, "") == {}
