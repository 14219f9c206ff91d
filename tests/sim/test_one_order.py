"""Concurrent requests for one order while nodes die: the order is charged once, with its total."""

from random import Random

import pytest

from harness.runtimes.sim.simulation import Simulation
from tests.chaos.one_order import Play, add_and_check_out, check_out_at_once
from tests.sim.conftest import simulate
from tests.sim.test_set_anew import SHOPS, rests

TIME_LIMIT_S = 3.0


def played(play: Play, seed: int, protocol: str, options: dict[str, str]) -> None:
    async def whole(shop: Simulation) -> None:
        async with shop.client(15) as client:
            await play(shop, client, Random(seed), lambda: rests(shop))

    simulate(whole, seed, protocol=protocol, options=options, workers=2, time_limit_s=TIME_LIMIT_S)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("protocol", "options"), SHOPS, ids=str)
def test_an_item_that_is_added_during_a_checkout_is_charged_or_refused(
    protocol: str, options: dict[str, str], seed: int
) -> None:
    played(add_and_check_out, seed, protocol, options)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("protocol", "options"), SHOPS, ids=str)
def test_two_hundred_checkouts_of_one_order_charge_it_once_while_nodes_die(
    protocol: str, options: dict[str, str], seed: int
) -> None:
    played(check_out_at_once, seed, protocol, options)


@pytest.mark.parametrize("play", [add_and_check_out, check_out_at_once], ids=lambda play: play.__name__)
def test_a_shop_without_a_protocol_does_not_pass(play: Play) -> None:
    def fails(seed: int) -> bool:
        try:
            played(play, seed, "unprotected", {})
        except AssertionError:
            return True
        return False

    assert any(map(fails, range(5)))
