"""The file for Locust: its rules of success, with a stand-in for the names of Locust, which is no dependency."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import pytest

from tests.shops import ROOT

FILE = ROOT / "docs/examples/locustfile.py"


class Response:
    """An answer as Locust gives it to a block with `catch_response`."""

    def __init__(self, status: int, body: Any, name: str) -> None:
        self.status_code, self.body = status, body
        self.request_meta = {"name": name}
        self.recorded: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def json(self) -> Any:
        return self.body

    def success(self) -> None:
        self.recorded.append("success")

    def failure(self, reason: str) -> None:
        self.recorded.append(reason)


class Client:
    """A client whose answers have the status of the test, by the last name of the request."""

    def __init__(self, statuses: dict[str, int]) -> None:
        self.statuses = statuses
        self.responses: list[Response] = []
        self.urls: list[str] = []

    def post(self, url: str, name: str, *, catch_response: bool, allow_redirects: bool, timeout: float) -> Response:
        assert catch_response
        assert not allow_redirects, "a redirect that is followed hides the first answer"
        assert timeout > 0
        ids = {f"{kind}_id": f"{kind}-{len(self.responses)}" for kind in ("user", "item", "order")}
        self.urls.append(url)
        self.responses.append(Response(self.statuses.get(name, 200), ids, name))
        return self.responses[-1]


@pytest.fixture
def locustfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    names = SimpleNamespace(HttpUser=object, constant_throughput=lambda rate: rate, task=lambda method: method)
    monkeypatch.setitem(sys.modules, "locust", names)  # type: ignore[arg-type]
    urls = {"ORDER_URL": "http://o/", "STOCK_URL": "http://s", "PAYMENT_URL": "http://p"}
    (tmp_path / "urls.json").write_text(json.dumps(urls))
    monkeypatch.setenv("URLS", str(tmp_path / "urls.json"))
    spec = importlib.util.spec_from_file_location("locustfile", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("status", "success", "recorded", "name"),
    [
        (200, True, "success", "checkout"),
        (204, True, "success", "checkout"),
        (400, False, "success", "checkout (rejected with 400)"),
        (409, False, "success", "checkout (rejected with 409)"),
        (302, False, "unknown outcome: status 302", "checkout"),
        (500, False, "unknown outcome: status 500", "checkout"),
        (503, False, "unknown outcome: status 503", "checkout"),
        (0, False, "unknown outcome: no answer", "checkout"),
    ],
)
def test_only_a_2xx_is_a_success(locustfile: ModuleType, status: int, success: bool, recorded: str, name: str) -> None:
    response = Response(status, None, "checkout")
    assert locustfile.record(response) is success
    assert response.recorded == [recorded]
    assert response.request_meta["name"] == name


def test_a_customer_buys_with_fresh_ids_at_each_address(locustfile: ModuleType) -> None:
    customer = locustfile.Customer()
    customer.client = client = Client({})
    customer.on_start()
    customer.buy()
    customer.buy()
    assert client.urls == [
        "http://p/payment/create_user",
        "http://s/stock/item/create/5",
        "http://p/payment/add_funds/user-0/1000",
        "http://s/stock/add/item-1/200",
        "http://o/orders/create/user-0",
        "http://o/orders/addItem/order-4/item-1/2",
        "http://o/orders/checkout/order-4",
        "http://o/orders/create/user-0",
        "http://o/orders/addItem/order-7/item-1/2",
        "http://o/orders/checkout/order-7",
    ]


def test_an_order_that_was_not_made_is_not_checked_out(locustfile: ModuleType) -> None:
    customer = locustfile.Customer()
    customer.client = client = Client({"create_order": 500})
    customer.on_start()
    customer.buy()
    assert len(client.urls) == 5
    client.statuses = {"add_item": 404}
    customer.buy()
    assert [url.split("/")[4] for url in client.urls[5:]] == ["create", "addItem"]
