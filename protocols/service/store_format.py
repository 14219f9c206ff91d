"""The number of the format of a store's data, which is in the store itself: the data of another format is not misread.

The number is raised when the records of the shop or of a protocol change so that a reader of the former format would
misunderstand them. Format 2 has lives in the names of transactions (`protocols.store.lives`); before it, stores had no number.
Format 3 has the states of a saga as `protocols.saga.records` lists them.
"""

from protocols.service.valkey_connection import Handshake, ServerError
from protocols.store.epochs import TABLE

FORMAT = 3
KEY = "format"


class OtherFormat(ServerError):
    """The store contains data that this wdm does not read; the message says what to do."""


async def check_format(handshake: Handshake, where: str, key_prefix: str = "") -> None:
    """Write the number into an empty store. Raises `OtherFormat` for one that contains data of another number, or of none."""
    key, table = key_prefix + KEY, key_prefix + TABLE
    # In this order: another process that shares the store may write the number, and then data, in between.
    # An elector may have begun an epoch before.
    keys = int(await handshake.execute("DBSIZE")) - int(await handshake.execute("EXISTS", table))
    found = await handshake.execute("GET", key)
    if found is None and not keys:
        await handshake.execute("SET", key, FORMAT, "NX")
    elif found != str(FORMAT).encode():
        theirs = f"data of format {found.decode(errors='replace')!r}" if found else "data without a format number"
        raise OtherFormat(
            f"the store at {where} contains {theirs}, and this wdm reads format {FORMAT}: give it an empty store, "
            "or use the wdm that wrote the data"
        )
