"""The same on real processes: see `one_order.py`."""

from random import Random

import pytest

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from tests.chaos.one_order import Play, add_and_check_out, check_out_at_once
from tests.faults.acts import rests

SHOPS = [("2pc", "wait-die"), ("2pc", "escrow"), ("saga", ""), ("lua", "")]


@pytest.mark.slow
@pytest.mark.parametrize("play", [add_and_check_out, check_out_at_once], ids=lambda play: play.__name__)
@pytest.mark.parametrize(("protocol", "locks"), SHOPS)
async def test_one_order_is_charged_once_and_as_it_says(protocol: str, locks: str, play: Play) -> None:
    options = {"locks": locks} if locks else {}
    spec = Spec(protocol=protocol, options=options, workers=2, respawn_after_s=0.3, time_limit_s=5.0)
    async with LocalDeployment(spec) as shop, ShopClient(shop.url) as client:
        await play(shop, client, Random(protocol), lambda: rests(shop))
