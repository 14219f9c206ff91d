"""The contract of an adapter, as a class of tests against a running shop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

import pytest

from harness.judge.adapter import METHODS, Accepted, Adapter, ItemView, OrderView, Rejected

CONCURRENT = 20
POLL_S = 0.1


class AdapterContract:
    """The tests of one adapter against a running shop. A subclass sets `adapter` and implements `unreachable`.

    `absent_id` is an id of no user, item or order. `limit_s` bounds each test, `settle_s` a checkout that the shop finishes
    later, in seconds.
    """

    adapter: ClassVar[type[Adapter]]
    absent_id: ClassVar[str] = "00000000-0000-4000-8000-000000000000"
    limit_s: ClassVar[float] = 60.0
    settle_s: ClassVar[float] = 10.0

    def unreachable(self) -> Adapter:
        """Return an adapter with an address where no shop is, for example `http://127.0.0.1:9`."""
        raise NotImplementedError("implement unreachable(): it returns an adapter with an address where no shop is")

    def test_it_has_every_method(self) -> None:
        assert [name for name in METHODS.values() if getattr(self.adapter, name) is getattr(Adapter, name)] == []

    def test_credit_is_added_and_read(self) -> None:
        async def body(shop: Adapter) -> None:
            user = await shop.create_user()
            assert_id(user)
            assert_amount(await shop.read_user(user), 0)
            await shop.add_credit(user, 7)
            await shop.add_credit(user, 3)
            assert_amount(await shop.read_user(user), 10)

        self._play(body)

    def test_stock_is_added_and_read_with_the_price(self) -> None:
        async def body(shop: Adapter) -> None:
            item = await shop.create_item(3)
            assert_id(item)
            assert_item(await shop.read_item(item), 0, 3)
            await shop.add_stock(item, 5)
            await shop.add_stock(item, 1)
            assert_item(await shop.read_item(item), 6, 3)

        self._play(body)

    def test_an_order_has_its_user_its_lines_and_its_total(self) -> None:
        async def body(shop: Adapter) -> None:
            user, item, other = await shop.create_user(), await shop.create_item(3), await shop.create_item(4)
            order = await shop.create_order(user)
            assert_id(order)
            assert_order(await shop.read_order(order), user, {}, 0, paid=False)
            await shop.add_line(order, item, 2)
            await shop.add_line(order, other, 1)
            assert_order(await shop.read_order(order), user, {item: 2, other: 1}, 10, paid=False)

        self._play(body)

    def test_a_checkout_takes_stock_and_credit_and_marks_the_order(self) -> None:
        async def body(shop: Adapter) -> None:
            user, item, order = await bought(shop, credit=10, stock=5)
            await self._end_of_checkout(shop, order)
            assert_order(await shop.read_order(order), user, {item: 2}, 6, paid=True)
            assert_amount(await shop.read_user(user), 4)
            assert_item(await shop.read_item(item), 3, 3)

        self._play(body)

    @pytest.mark.parametrize(("credit", "stock"), [(5, 5), (10, 1)], ids=["credit", "stock"])
    def test_a_checkout_without_credit_or_stock_is_rejected_and_changes_nothing(self, credit: int, stock: int) -> None:
        async def body(shop: Adapter) -> None:
            user, item, order = await bought(shop, credit, stock)
            try:
                await shop.checkout(order)
            except Rejected:
                pass
            except Accepted:
                await asyncio.sleep(self.settle_s)
            else:
                pytest.fail("checkout() returned, which says that it happened; raise Rejected")
            assert_order(await shop.read_order(order), user, {item: 2}, 6, paid=False)
            assert_amount(await shop.read_user(user), credit)
            assert_item(await shop.read_item(item), stock, 3)

        self._play(body)

    @pytest.mark.parametrize(
        "name", ["add_credit", "add_stock", "add_line", "checkout", "read_user", "read_item", "read_order"]
    )
    def test_an_absent_id_is_rejected_as_gone(self, name: str) -> None:
        async def body(shop: Adapter) -> None:
            with pytest.raises(Rejected) as raised:
                await call(shop, name, self.absent_id)
            assert raised.value.gone, f"{name}() raised Rejected({raised.value}); it has to have gone=True"

        self._play(body)

    def test_concurrent_calls_have_effects_and_answers_of_their_own(self) -> None:
        async def body(shop: Adapter) -> None:
            users = await asyncio.gather(*(shop.create_user() for _ in range(CONCURRENT)))
            assert len(set(users)) == CONCURRENT, "create_user() returned one id twice"
            await asyncio.gather(*(shop.add_credit(user, amount) for amount, user in enumerate(users, 1)))
            assert await asyncio.gather(*map(shop.read_user, users)) == [*range(1, CONCURRENT + 1)]
            await asyncio.gather(*(shop.add_credit(users[0], 2) for _ in range(CONCURRENT)))
            assert_amount(await shop.read_user(users[0]), 1 + 2 * CONCURRENT)

        self._play(body)

    @pytest.mark.parametrize("name", METHODS.values())
    def test_a_call_without_a_shop_is_neither_a_success_nor_a_rejection(self, name: str) -> None:
        async def body(shop: Adapter) -> None:
            try:
                await call(shop, name, self.absent_id)
            except (Rejected, Accepted) as error:
                pytest.fail(f"{name}() raised {type(error).__name__}, and no shop has responded; raise Unknown")
            except Exception:  # noqa: BLE001 - every other exception is an unknown outcome
                return
            pytest.fail(f"{name}() returned, and no shop has responded; raise Unknown")

        self._play(body, self.unreachable())

    # ------------------------------------------------------------ inside

    def _play(self, body: Callable[[Adapter], Awaitable[None]], adapter: Adapter | None = None) -> None:
        """Run a test with an adapter that is opened before and closed afterwards."""

        async def work() -> None:
            shop = adapter or self.adapter()
            async with asyncio.timeout(self.limit_s):
                await shop.open()
                try:
                    await body(shop)
                finally:
                    await shop.close()

        asyncio.run(work())

    async def _end_of_checkout(self, shop: Adapter, order: str) -> None:
        """Check an order out; wait for the end of a checkout that the shop finishes later."""
        try:
            await shop.checkout(order)
        except Accepted:
            until_s = asyncio.get_running_loop().time() + self.settle_s
            while not (await shop.read_order(order)).paid and asyncio.get_running_loop().time() < until_s:
                await asyncio.sleep(POLL_S)


async def bought(shop: Adapter, credit: int, stock: int) -> tuple[str, str, str]:
    """Return a user with this credit, an item of price 3 with this stock, and an order of two pieces."""
    user, item = await shop.create_user(), await shop.create_item(3)
    await shop.add_credit(user, credit)
    await shop.add_stock(item, stock)
    order = await shop.create_order(user)
    await shop.add_line(order, item, 2)
    return user, item, order


async def call(shop: Adapter, name: str, key: str) -> None:
    """Call a method with this id wherever it takes one."""
    further: dict[str, tuple[object, ...]] = {"add_credit": (1,), "add_stock": (1,), "add_line": (key, 1)}
    arguments = {"create_user": (), "create_item": (1,)}.get(name, (key, *further.get(name, ())))
    await getattr(shop, name)(*arguments)


def assert_id(value: object) -> None:
    assert isinstance(value, str), f"an id is a text, not {value!r}"
    assert value


def assert_amount(value: object, expected: int) -> None:
    assert type(value) is int, f"an amount is a whole number, not {value!r}"
    assert value == expected


def assert_item(view: ItemView, stock: int, price: int) -> None:
    found_stock, found_price = view
    assert_amount(found_stock, stock)
    assert_amount(found_price, price)


def assert_order(view: OrderView, user: str, pieces: dict[str, int], total: int, *, paid: bool) -> None:
    """Assert the content of an order. Several lines of one item may be one line."""
    found_user, lines, found_total, found_paid = view
    counted: dict[str, int] = {}
    for item, quantity in lines:
        counted[item] = counted.get(item, 0) + quantity
    assert (found_user, counted) == (user, pieces)
    assert_amount(found_total, total)
    assert found_paid is paid
