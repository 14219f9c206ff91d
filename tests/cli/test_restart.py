"""`wdm restart --rolling` under load: the processes are new ones, and no request has failed."""

import threading
import urllib.error
import urllib.request

import pytest

from tests.terminal import Terminal


class Customer(threading.Thread):
    """A client that sends one request after the other; `answers` are their statuses, or the errors of connections."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.answers: list[int | str] = []
        self.over = threading.Event()
        self._url = url

    def run(self) -> None:
        user = self.send("POST", "/payment/create_user").split('"')[3]
        item = self.send("POST", "/stock/item/create/1").split('"')[3]
        self.send("POST", f"/payment/add_funds/{user}/1000000")
        self.send("POST", f"/stock/add/{item}/1000000")
        while not self.over.is_set():
            order = self.send("POST", f"/orders/create/{user}").split('"')[3]
            self.send("POST", f"/orders/addItem/{order}/{item}/1")
            self.send("POST", f"/orders/checkout/{order}")
            self.send("GET", f"/orders/find/{order}")

    def send(self, method: str, path: str) -> str:
        try:
            with urllib.request.urlopen(urllib.request.Request(self._url + path, method=method)) as response:
                self.answers.append(response.status)
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            self.answers.append(error.code)
        except OSError as error:
            self.answers.append(str(error))
        return '{"none": "none"}'


@pytest.mark.slow
def test_a_rolling_restart_fails_no_request(terminal: Terminal) -> None:
    terminal.up("--workers", "2", "--gateways", "2", "--respawn-after-s", "0.1")
    before = terminal.nodes()
    customers = [Customer(terminal.status()["gateway"]) for _ in range(4)]
    for customer in customers:
        customer.start()
    answer = terminal.wdm("restart", "--rolling", "order", "gateway")
    for customer in customers:
        customer.over.set()
        customer.join()
    assert answer.returncode == 0, answer.stderr
    restarted = [line.split()[1] for line in answer.stderr.splitlines() if line.startswith("restarted")]
    assert restarted == ["order-1", "order-2", "gateway-1", "gateway-2"]
    assert all(set(customer.answers) == {200} and len(customer.answers) > 50 for customer in customers)
    changed = {name for name, node in terminal.nodes().items() if node.pid != before[name].pid}
    assert changed == {"order-1", "order-2", "gateway-1", "gateway-2"}


def test_without_a_shop_it_says_how_to_start_one(terminal: Terminal) -> None:
    answer = terminal.wdm("restart", "--rolling")
    assert answer.returncode == 4
    assert "nothing is up in" in answer.stderr
    assert "start a shop with `wdm up`" in answer.stderr
