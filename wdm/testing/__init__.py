"""Tests for a protocol of your own, and adapters for a shop of your own, for pytest: write

    from wdm.testing import ProtocolContract

    class TestMine(ProtocolContract):
        protocol = "mine"       # as your package registers it in the entry-point group `wdm.protocols`

and `pytest` searches the small cases, runs every workload, and draws loads and schedules of faults in the simulator, each smaller
and smaller while it still fails. A subclass of `ShopMachine` lets Hypothesis play with a simulated shop step by step:

    class MyShop(ShopMachine):
        protocol = "mine"

    TestMyShop = MyShop.TestCase

`Adapter` is the base of the adapters of `wdm judge --adapter`, and `AdapterContract` a class of tests for one of them. The
adapters need no further package, the tests `pytest` and, those of protocols, `hypothesis`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness.judge.adapter import Accepted, Adapter, ItemView, OrderView, Rejected, Unknown

if TYPE_CHECKING:
    from wdm.testing.adapter_contract import AdapterContract
    from wdm.testing.contract import ProtocolContract
    from wdm.testing.shop_machine import ShopMachine
    from wdm.testing.strategies import a_fault, plans, schedules

__all__ = [
    "Accepted",
    "Adapter",
    "AdapterContract",
    "ItemView",
    "OrderView",
    "ProtocolContract",
    "Rejected",
    "ShopMachine",
    "Unknown",
    "a_fault",
    "plans",
    "schedules",
]

_TESTS = {
    "AdapterContract": "adapter_contract",
    "ProtocolContract": "contract",
    "ShopMachine": "shop_machine",
    "a_fault": "strategies",
    "plans": "strategies",
    "schedules": "strategies",
}
"""The modules that need pytest or Hypothesis: `wdm judge` imports adapters where neither is installed."""


def __getattr__(name: str) -> Any:
    """Import a class of tests at its first use."""
    if name not in _TESTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_TESTS[name]}"), name)
