"""The simulated network: its delays end with the heal, also for the packets under way."""

import asyncio

from harness.runtimes.sim.loop import VirtualLoop, run
from harness.runtimes.sim.network import QUICKEST_S, USUAL_S, Pipe, SimulatedNetwork
from harness.runtimes.sim.world import World

WIRE = ("stock-1", "stock-store")
PACKETS = 2_000
SOON_S = 2 * (QUICKEST_S + USUAL_S)


def test_a_slow_packet_arrives_soon_after_the_roughness_has_ended() -> None:
    loop = VirtualLoop()
    network = SimulatedNetwork(World(1, loop), [WIRE])
    arrived: list[str] = []

    async def play() -> None:
        pipe = Pipe(network, WIRE)
        for _ in range(PACKETS):
            network.carry(WIRE, lambda: arrived.append("alone"), lambda: arrived.append("lost"))
            pipe.send(lambda: arrived.append("in order"))
        await asyncio.sleep(SOON_S)
        assert arrived.count("in order") < PACKETS
        assert arrived.count("alone") + arrived.count("lost") < PACKETS, "none of them was slow: the test shows nothing"
        network.calm()
        await asyncio.sleep(SOON_S)
        assert arrived.count("in order") == PACKETS
        assert arrived.count("alone") + arrived.count("lost") == PACKETS
        assert arrived.count("lost") > 0

    run(loop, play())
