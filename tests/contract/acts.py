"""What the contract's tests do again and again."""

from typing import Any

from harness.workload.client import ShopClient

LIMIT = 2**53


async def item(client: ShopClient, stock: int, price: int = 1) -> str:
    found: str = await client.need("create_item", price)
    await client.need("add_stock", found, stock)
    return found


async def user(client: ShopClient, credit: int) -> str:
    found: str = await client.need("create_user")
    await client.need("add_funds", found, credit)
    return found


async def order(client: ShopClient, buyer: str, *lines: tuple[str, int]) -> str:
    found: str = await client.need("create_order", buyer)
    for name, quantity in lines:
        await client.need("add_item", found, name, quantity)
    return found


async def stock_of(client: ShopClient, name: str) -> int:
    return int((await client.need("find_item", name))["stock"])


async def credit_of(client: ShopClient, name: str) -> int:
    return int((await client.need("find_user", name))["credit"])


async def is_paid(client: ShopClient, name: str) -> bool:
    return bool((await client.need("find_order", name))["paid"])


async def state(client: ShopClient, name: str, items: list[str], buyer: str) -> dict[str, Any]:
    """Everything that a checkout of ``name`` may change."""
    return {
        "paid": await is_paid(client, name),
        "stock": [await stock_of(client, one) for one in items],
        "credit": await credit_of(client, buyer),
    }
