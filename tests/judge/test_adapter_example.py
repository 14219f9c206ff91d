"""The example of an adapter: by the contract of adapters, and in an examination of the shop behind it."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.judge.adapter import METHODS, behind, load
from harness.runtimes.external.runtime import ExternalRuntime
from protocols.errors import UsageError
from tests.judge.examined import judge
from tests.shops import ROOT
from tests.terminal import until
from wdm.testing import Accepted, Adapter, AdapterContract, ItemView, OrderView, Rejected

EXAMPLES = ROOT / "docs/examples"
NO_SHOP = "http://127.0.0.1:9"


CartsShop = load(EXAMPLES / "carts_adapter.py")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a running shop of the example, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(EXAMPLES / "carts_shop.py"), "--port", str(port)])
    try:

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(autouse=True)
def shop_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", url)


class TestCartsShop(AdapterContract):
    adapter = CartsShop

    def unreachable(self) -> Adapter:
        return CartsShop(NO_SHOP)  # type: ignore[call-arg]  # the subclass of the example has an address


@pytest.mark.slow
async def test_the_shop_behind_the_adapter_passes_the_examination(tmp_path: Path) -> None:
    parts = [word for part in ("contract", "retry") for word in ("--part", part)]
    examined = await judge(tmp_path, "--adapter", str(EXAMPLES / "carts_adapter.py"), *parts, budget_s=15)
    assert {part["part"]: part["standing"] for part in examined.document["parts"]} == {
        "contract": "passed",
        "retry": "passed",
    }
    assert (examined.code, examined.document["verdict"]) == (0, "holds")
    assert examined.document["sales"] > 20


class InMemory(Adapter):
    """A shop in the adapter itself, correct but for the defect that a subclass has."""

    def __init__(self) -> None:
        self.credit: dict[str, int] = {}
        self.items: dict[str, list[int]] = {}
        self.orders: dict[str, tuple[str, list[tuple[str, int]], list[bool]]] = {}

    async def create_user(self) -> str:
        self.credit[key := f"u{len(self.credit)}"] = 0
        return key

    async def add_credit(self, user: str, amount: int) -> None:
        self.credit[self.known(self.credit, user)] += amount

    async def create_item(self, price: int) -> str:
        self.items[key := f"i{len(self.items)}"] = [0, price]
        return key

    async def add_stock(self, item: str, amount: int) -> None:
        self.items[self.known(self.items, item)][0] += amount

    async def create_order(self, user: str) -> str:
        self.orders[key := f"o{len(self.orders)}"] = (self.known(self.credit, user), [], [])
        return key

    async def add_line(self, order: str, item: str, quantity: int) -> None:
        self.orders[self.known(self.orders, order)][1].append((self.known(self.items, item), quantity))

    async def checkout(self, order: str) -> None:
        user, lines, paid = self.orders[self.known(self.orders, order)]
        total = self.total(lines)
        if self.credit[user] < total or any(self.items[item][0] < quantity for item, quantity in lines):
            self.refuse()
        self.credit[user] -= total
        for item, quantity in lines:
            self.items[item][0] -= quantity
        paid.append(True)

    async def read_user(self, user: str) -> int:
        return self.credit[self.known(self.credit, user)]

    async def read_item(self, item: str) -> ItemView:
        return ItemView(*self.items[self.known(self.items, item)])

    async def read_order(self, order: str) -> OrderView:
        user, lines, paid = self.orders[self.known(self.orders, order)]
        return OrderView(user, lines, self.total(lines), bool(paid))

    def total(self, lines: list[tuple[str, int]]) -> int:
        return sum(self.items[item][1] * quantity for item, quantity in lines)

    def known(self, records: dict[str, object] | object, key: str) -> str:
        if key not in records:  # type: ignore[operator]
            raise Rejected(f"no {key}", gone=True)
        return key

    def refuse(self) -> None:
        raise Rejected("too little")


class NeverRefuses(InMemory):
    def refuse(self) -> None:
        return None


class TextAmounts(InMemory):
    async def read_user(self, user: str) -> int:
        return str(await super().read_user(user))  # type: ignore[return-value]


class NotGone(InMemory):
    def known(self, records: object, key: str) -> str:
        if key not in records:  # type: ignore[operator]
            raise Rejected(f"no {key}")
        return key


class OneOrder(InMemory):
    async def create_user(self) -> str:
        await super().create_user()
        return "u0"


class ForgetsTotal(InMemory):
    def total(self, lines: list[tuple[str, int]]) -> int:
        return 3 if lines else 0


class RejectsOutages(InMemory):
    async def open(self) -> None:
        self.known = self.outage  # type: ignore[method-assign]

    def outage(self, *_: object) -> str:
        raise Rejected("connection refused")


def contract_of(kind: type[Adapter], unreachable: type[Adapter] | None = None) -> AdapterContract:
    class Mine(AdapterContract):
        adapter = kind

        def unreachable(self) -> Adapter:
            return (unreachable or kind)()

    return Mine()


def test_a_correct_adapter_keeps_the_contract() -> None:
    contract = contract_of(InMemory)
    contract.test_credit_is_added_and_read()
    contract.test_stock_is_added_and_read_with_the_price()
    contract.test_an_order_has_its_user_its_lines_and_its_total()
    contract.test_a_checkout_takes_stock_and_credit_and_marks_the_order()
    contract.test_a_checkout_without_credit_or_stock_is_rejected_and_changes_nothing(5, 5)
    contract.test_an_absent_id_is_rejected_as_gone("read_order")
    contract.test_concurrent_calls_have_effects_and_answers_of_their_own()


def test_the_contract_finds_each_defect_of_an_adapter() -> None:
    with pytest.raises(pytest.fail.Exception, match="raise Rejected"):
        contract_of(NeverRefuses).test_a_checkout_without_credit_or_stock_is_rejected_and_changes_nothing(5, 5)
    with pytest.raises(AssertionError, match="an amount is a whole number, not '0'"):
        contract_of(TextAmounts).test_credit_is_added_and_read()
    with pytest.raises(AssertionError, match="it has to have gone=True"):
        contract_of(NotGone).test_an_absent_id_is_rejected_as_gone("read_user")
    with pytest.raises(AssertionError, match="one id twice"):
        contract_of(OneOrder).test_concurrent_calls_have_effects_and_answers_of_their_own()
    with pytest.raises(AssertionError):
        contract_of(ForgetsTotal).test_an_order_has_its_user_its_lines_and_its_total()
    with pytest.raises(AssertionError):
        contract_of(Adapter).test_it_has_every_method()
    with pytest.raises(pytest.fail.Exception, match="raised Rejected, and no shop has responded"):
        contract_of(RejectsOutages).test_a_call_without_a_shop_is_neither_a_success_nor_a_rejection("read_user")
    with pytest.raises(pytest.fail.Exception, match="returned, and no shop has responded"):
        contract_of(InMemory).test_a_call_without_a_shop_is_neither_a_success_nor_a_rejection("create_user")


def test_a_checkout_that_ends_later_keeps_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    class Later(InMemory):
        async def checkout(self, order: str) -> None:
            self.task = asyncio.create_task(self.finish(order))
            raise Accepted("it is queued")

        async def finish(self, order: str) -> None:
            await asyncio.sleep(0.05)
            try:
                await super().checkout(order)
            except Rejected:
                return

    monkeypatch.setattr(AdapterContract, "settle_s", 0.5)
    contract_of(Later).test_a_checkout_takes_stock_and_credit_and_marks_the_order()
    contract_of(Later).test_a_checkout_without_credit_or_stock_is_rejected_and_changes_nothing(5, 5)


def test_an_adapter_needs_neither_pytest_nor_hypothesis() -> None:
    text = (
        "import sys; sys.modules.update(pytest=None, hypothesis=None)\n"
        "from wdm.testing import Adapter, Rejected, Unknown, Accepted, ItemView, OrderView\n"
        "from harness.judge.adapter import load; from pathlib import Path\n"
        f"print(load(Path({str(EXAMPLES / 'carts_adapter.py')!r})).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.stdout == "CartsShop\n", done.stderr


def test_every_name_of_the_testing_package_can_be_imported() -> None:
    import wdm.testing

    for name in wdm.testing.__all__:
        assert getattr(wdm.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Adaptor'"):
        wdm.testing.Adaptor  # noqa: B018


def test_adapters_of_several_folders_have_modules_of_their_own(tmp_path: Path) -> None:
    """A batch loads one adapter after the other: of a helper and a package of the same names, each gets its own."""
    text = """
from __future__ import annotations
from dataclasses import dataclass
import sharedhelper
from sharedpackage.inner import NAME
from wdm.testing import Adapter

@dataclass
class Settings:
    url: str = sharedhelper.URL

class Mine(Adapter):
    settings = Settings()
    name = NAME
""" + "".join(f"    async def {name}(self, *_): ...\n" for name in METHODS.values())
    for folder in ("one", "two"):
        (tmp_path / folder / "sharedpackage").mkdir(parents=True)
        (tmp_path / folder / "adapter.py").write_text(text)
        (tmp_path / folder / "sharedhelper.py").write_text(f"import colorsys\nURL = {folder!r}\n")
        (tmp_path / folder / "sharedpackage/inner.py").write_text(f"NAME = {folder!r}\n")
    path, loaded = list(sys.path), [load(tmp_path / folder / "adapter.py") for folder in ("one", "two")]
    assert [(kind.settings.url, kind.name) for kind in loaded] == [("one", "one"), ("two", "two")]  # type: ignore[attr-defined]
    assert sys.path == path
    assert [name for name in sys.modules if name.startswith("shared")] == []
    assert "colorsys" in sys.modules, "a module of the library stays"


def test_an_adapter_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    text = "from wdm.testing import Adapter\n\nclass Mine(Adapter):\n    def __init__(self): self.url = {}['URL']\n"
    text += "".join(f"    async def {name}(self, *_): ...\n" for name in METHODS.values())
    (tmp_path / "adapter.py").write_text(text)
    with pytest.raises(
        UsageError, match=r"adapter\.py: Mine\(\) failed: KeyError: 'URL'; what may fail belongs into `open`"
    ):
        behind(tmp_path / "adapter.py", ExternalRuntime("adapter", []))
