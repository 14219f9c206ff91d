"""A simulated gateway: a machine that knows the requests under way in it."""

from harness.runtimes.sim.machine import Machine
from harness.runtimes.sim.world import World


class SimGateway(Machine):
    """A gateway. Its rules for each request are in `SimClient`, which opens and closes the request here."""

    def __init__(self, world: World, name: str, number: int, respawn_s: float) -> None:
        super().__init__(world, name, "gateway", "", number, respawn_s)
        self._open: set[object] = set()
        self._draining = False

    @property
    def accepts(self) -> bool:
        """Return whether it accepts new connections."""
        return self.state == "running" and not self._draining

    def died(self) -> None:
        self._open, self._draining = set(), False

    def open(self, request: object) -> None:
        """Note a request as under way."""
        self._open.add(request)

    def has(self, request: object) -> bool:
        """Return whether a request is under way in this life."""
        return request in self._open

    def close(self, request: object) -> None:
        """Note the end of a request. A gateway that drains ends with the last one."""
        self._open.discard(request)
        self._end_if_drained()

    def terminate(self) -> None:
        """Accept no new connection, and end once all requests under way are answered."""
        if self.state == "starting":
            self.kill(stay_down=False)
        else:
            self.enter(self.life, self._drain)

    def _drain(self) -> None:
        self._draining = True
        self._end_if_drained()

    def _end_if_drained(self) -> None:
        if self._draining and not self._open and self.state == "running":
            self.kill(stay_down=False)
