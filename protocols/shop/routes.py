"""The public HTTP contract as one table: the service and the handler of each request."""

from dataclasses import dataclass

from protocols.shop import accounts, orders
from protocols.shop.request_context import Handler


@dataclass(frozen=True, slots=True)
class Route:
    """A row of the table.

    `path` is without the service's prefix; its `{parameters}` are the handler's. A `long` request consists of many commands,
    and stops when its client has left.
    """

    service: str
    method: str
    path: str
    handler: Handler
    long: bool = False


ROUTES = (
    Route("order", "POST", "/create/{user}", orders.create),
    Route("order", "GET", "/find/{order}", orders.find),
    Route("order", "POST", "/addItem/{order}/{item}/{quantity}", orders.add_item),
    Route("order", "POST", "/addItem/{order}/{item}", orders.add_one),
    Route("order", "POST", "/checkout/{order}", orders.checkout),
    Route("order", "POST", "/batch_init/{n}/{n_items}/{n_users}/{item_price}", orders.batch_init, long=True),
    Route("order", "DELETE", "/remove/{order}", orders.remove),
    Route("order", "DELETE", "/removeItem/{order}/{item}", orders.remove_item),
    Route("stock", "POST", "/item/create/{price}", accounts.create_item),
    Route("stock", "GET", "/find/{item}", accounts.find_item),
    Route("stock", "POST", "/add/{item}/{amount}", accounts.add_stock),
    Route("stock", "POST", "/subtract/{item}/{amount}", accounts.subtract_stock),
    Route("stock", "POST", "/batch_init/{n}/{starting_stock}/{item_price}", accounts.init_items, long=True),
    Route("payment", "POST", "/create_user", accounts.create_user),
    Route("payment", "GET", "/find_user/{user}", accounts.find_user),
    Route("payment", "POST", "/add_funds/{user}/{amount}", accounts.add_funds),
    Route("payment", "POST", "/pay/{user}/{amount}", accounts.pay),
    Route("payment", "POST", "/pay/{user}/{order}/{amount}", accounts.pay_order),
    Route("payment", "POST", "/cancel/{user}/{order}", accounts.cancel_order),
    Route("payment", "POST", "/status/{user}/{order}", accounts.status),
    Route("payment", "GET", "/status/{user}/{order}", accounts.status),
    Route("payment", "GET", "/status/{order}", accounts.order_status),
    Route("payment", "POST", "/batch_init/{n}/{starting_money}", accounts.init_users, long=True),
)
