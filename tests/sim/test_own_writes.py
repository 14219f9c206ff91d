"""A client reads just after the 200 of its checkout: the read shows the effects where that is claimed."""

from typing import Any

import pytest

from harness.runtimes.base import Rule
from harness.runtimes.sim.simulation import Simulation
from protocols.claims import SEES_OWN_WRITES
from protocols.registry import load
from tests.runtimes import EVERY_PROTOCOL
from tests.sim.conftest import simulate
from tests.sim.test_simulation import balances, stocked

ROUNDS = 12


def seen_at_once(protocol: str, **options: str) -> int:
    """Return the number of clients that read their own checkout in all three services, with slow messages to participants."""
    seen = 0

    async def play(shop: Simulation) -> None:
        nonlocal seen
        async with shop.client(9) as client:
            for _ in range(ROUNDS):
                bought = await stocked(client)
                seen += await sees_it(client, bought)

    async def whole(shop: Simulation) -> None:
        outwards = [(source, to) for source, to in shop.links() if "order" in source and "store" not in to]
        shop.apply_rule("slow", outwards, Rule(delay_ms=20.0, jitter_ms=40.0), shop.world.stream("t"))
        await play(shop)

    simulate(whole, protocol=protocol, options=options, workers=2, time_limit_s=5.0)
    return seen


async def sees_it(client: Any, bought: tuple[str, str, str]) -> bool:
    assert (await client.call("checkout", bought[2])).outcome == "ok"
    return await balances(client, *bought) == (8, 8, True)


@pytest.mark.parametrize("protocol", EVERY_PROTOCOL)
def test_a_client_reads_its_own_checkout_by_default(protocol: str) -> None:
    claimed = load(protocol)
    assert claimed.claims(claimed.configure()).own_writes == SEES_OWN_WRITES
    assert seen_at_once(protocol) == ROUNDS


@pytest.mark.parametrize("options", [{}, {"reads": "locked"}, {"reads": "committed"}, {"reads": "settled"}])
@pytest.mark.parametrize("locks", ["wait-die", "escrow"])
def test_the_claims_have_the_visibility_of_own_writes(locks: str, options: dict[str, str]) -> None:
    two_phase = load("2pc")
    claims = two_phase.claims(two_phase.configure({"locks": locks, **options}))
    seen = seen_at_once("2pc", locks=locks, **options)
    if claims.own_writes == SEES_OWN_WRITES:
        assert seen == ROUNDS
    else:
        assert seen < ROUNDS, "the weaker claim is needed"


def test_the_default_follows_the_locks_and_a_choice_is_a_choice() -> None:
    two_phase = load("2pc")
    assert two_phase.configure().options["reads"] == "locked"
    assert two_phase.configure({"locks": "escrow"}).options["reads"] == "settled"
    assert two_phase.configure({"reads": "locked", "locks": "escrow"}).options["reads"] == "locked"
