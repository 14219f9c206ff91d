"""The epoch of a store with copies, and a counter of bundles. The twin of ``epochs.lua``.

- ``epoch``   ``number``: the epoch of the primary that wrote it, and ``bundles``: the bundles that primaries have executed

A primary begins its epoch by writing the number, so a copy has it with every record of that epoch. Each bundle of commands
ends with ``bundle_end``. So (epoch, bundles) says how much of the one history a copy has, also after a restart, where a server
of today has forgotten its replication offset.
"""

from protocols.core import Config
from protocols.store.tables import Result, Tables, table

TABLE, NUMBER, BUNDLES = "epoch", "number", "bundles"


def begin_epoch(tables: Tables, config: object, now: int, epoch: int) -> Result:
    """Write the number of a new epoch."""
    table(tables, TABLE)[NUMBER] = epoch
    return ("ok",)


def bundle_end(tables: Tables, config: Config, now: int, epoch: int) -> Result:
    """Count a bundle: ``("ok",)``. ``("other", epoch)``, and no effect, in another epoch than the sender's."""
    current, _ = progress(tables)
    if current != epoch and config.enabled("refuse-other-epoch"):
        return ("other", current)
    table(tables, TABLE)[BUNDLES] = table(tables, TABLE).get(BUNDLES, 0) + 1
    return ("ok",)


def progress(tables: Tables) -> tuple[int, int]:
    """Return (epoch, bundles) of a copy, zeros where nothing was written."""
    fields = tables.get(TABLE, {})
    return fields.get(NUMBER, 0), fields.get(BUNDLES, 0)


COMMANDS = {"begin_epoch": begin_epoch, "bundle_end": bundle_end}
