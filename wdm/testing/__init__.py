"""Tests for a protocol of your own, for pytest: write

    from wdm.testing import ProtocolContract

    class TestMine(ProtocolContract):
        protocol = "mine"       # as your package registers it in the entry-point group `wdm.protocols`

and `pytest` searches the small cases, runs every workload, and draws loads and schedules of faults in the simulator, each smaller
and smaller while it still fails. A subclass of `ShopMachine` lets Hypothesis play with a simulated shop step by step:

    class MyShop(ShopMachine):
        protocol = "mine"

    TestMyShop = MyShop.TestCase

Needs `pytest` and `hypothesis`.
"""

from wdm.testing.contract import ProtocolContract
from wdm.testing.shop_machine import ShopMachine
from wdm.testing.strategies import a_fault, plans, schedules

__all__ = ["ProtocolContract", "ShopMachine", "a_fault", "plans", "schedules"]
