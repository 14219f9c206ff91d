"""The load of the machine during an examination: a slow machine looks like a slow shop, and the sheet has to say so."""

import asyncio
import os
from dataclasses import dataclass

TICK_S = 0.05
BUSY_LAG_S = 0.5
BUSY_LOAD = 2.0
"""Runnable processes for each core, and a delay of the judge's own loop, from which slowness proves nothing."""


@dataclass(slots=True)
class Busyness:
    """The longest delay of the judge's event loop in seconds, and the highest load of the machine for each core."""

    longest_lag_s: float = 0.0
    highest_load: float = 0.0

    async def watch(self) -> None:
        """Measure until cancelled."""
        now = asyncio.get_running_loop().time
        while True:
            due = now() + TICK_S
            await asyncio.sleep(TICK_S)
            self.longest_lag_s = max(self.longest_lag_s, now() - due)
            self.highest_load = max(self.highest_load, os.getloadavg()[0] / (os.cpu_count() or 1))

    @property
    def is_busy(self) -> bool:
        """Whether slowness during this examination may be the machine's."""
        return self.longest_lag_s > BUSY_LAG_S or self.highest_load > BUSY_LOAD

    def describe(self) -> str:
        """Return the figures as a sentence."""
        state = "busy: a slow answer may be the machine's" if self.is_busy else "not busy"
        return (
            f"The machine was {state} (load {self.highest_load:.1f} for each core, longest delay of the judge "
            f"{self.longest_lag_s:.2f} s)."
        )
