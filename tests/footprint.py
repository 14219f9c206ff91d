"""The sockets on which processes of this machine can be reached, as the kernel lists them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from harness.runtimes.deployment import process

# Table of the kernel, and the state in it of a socket that takes what anybody sends: LISTEN, or UDP without a peer.
OPEN = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}


def family(tag: str) -> set[int]:
    """The processes of a deployment: those with its mark in their environment, their descendants, and this one."""
    found = {identity.pid for identity in process.tagged(tag)}
    parents = dict(_parents())
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found | {os.getpid()}


def _parents() -> Iterator[tuple[int, int]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            yield int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])


def reachable(pids: Iterable[int]) -> dict[str, str]:
    """``{"tcp 127.0.0.1:8000": command}``: every TCP and UDP socket of these processes that waits for somebody."""
    owners = {inode: pid for pid in pids for inode in _sockets(pid)}
    return {
        f"{table[:3]} {address}:{port}": (Path("/proc") / str(owners[inode]) / "comm").read_text().strip()
        for table, state in OPEN.items()
        for address, port, inode in _table(table, state)
        if inode in owners
    }


def exposed(sockets: Iterable[str]) -> list[str]:
    """Those of ``reachable`` that another machine could reach."""
    return [one for one in sockets if not ip_address(one.split()[1].rpartition(":")[0]).is_loopback]


def _sockets(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for link in (Path("/proc") / str(pid) / "fd").iterdir():
            with suppress(OSError):
                target = str(link.readlink())
                if target.startswith("socket:["):
                    yield target[8:-1]


def _table(name: str, state: str) -> Iterator[tuple[str, int, str]]:
    """Address, port and inode of each socket in this state. An address is in words of 32 bits, each in the host's order."""
    path = Path("/proc/net") / name
    for line in path.read_text().splitlines()[1:] if path.exists() else ():
        fields = line.split()
        if fields[3] == state:
            packed, port = fields[1].split(":")
            words = b"".join(bytes.fromhex(packed[at : at + 8])[::-1] for at in range(0, len(packed), 8))
            address = IPv4Address(words) if len(words) == 4 else IPv6Address(words)
            mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
            yield str(mapped or address), int(port, 16), fields[9]
