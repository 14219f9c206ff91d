"""The workloads: the calls that clients make to the shop. A new workload is one file and one row below."""

from collections.abc import Mapping

from harness.workload.bank import Bank
from harness.workload.base import Workload
from harness.workload.carts import Carts
from harness.workload.checkout import Checkout
from harness.workload.flash_sale import FlashSale
from harness.workload.hot_item import HotItem
from harness.workload.orders import Orders
from harness.workload.retry import Retry
from harness.workload.sets import Sets

WORKLOADS: Mapping[str, type[Workload]] = {
    "checkout": Checkout,
    "retry": Retry,
    "hot-item": HotItem,
    "flash-sale": FlashSale,
    "bank": Bank,
    "sets": Sets,
    "orders": Orders,
    "carts": Carts,
}
