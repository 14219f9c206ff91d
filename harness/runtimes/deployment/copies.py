"""The copies of stores as the elector of a deployment sees them."""

import json
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http.client import HTTPException

import msgspec

from harness.runtimes.base import Node

ANSWER_WITHIN_S = 1.0


class CopyView(msgspec.Struct, frozen=True):
    """One server at the elector's last look: see `protocols.copies.elector.View`."""

    epoch: int
    bundles: int
    primary: bool
    follows: str


class CopiesView(msgspec.Struct, frozen=True):
    """One store: the name of its established primary, "" for none, and the servers that answered, by name."""

    primary: str
    copies: dict[str, CopyView]

    def role(self, server: str) -> str:
        """Return the role of a server in words."""
        copy = self.copies.get(server)
        if copy is None:
            return "no answer"
        if server == self.primary:
            return f"primary of epoch {copy.epoch}"
        if copy.primary:
            return f"former primary of epoch {copy.epoch}"
        if not self.primary or copy.follows != self.primary:
            return "follows nobody"
        behind = self.copies[self.primary].bundles - copy.bundles
        return f"copy, {behind} bundles behind" if behind > 0 else "copy"


def copies(nodes: Iterable[Node]) -> Mapping[str, CopiesView]:
    """Return every store with copies by its name; nothing where there is no elector, or it gives no answer."""
    for node in nodes:
        if node.kind == "elector" and node.url.startswith("http"):
            with suppress(OSError, HTTPException, ValueError, msgspec.MsgspecError, KeyError):
                with urllib.request.urlopen(f"{node.url}/health", timeout=ANSWER_WITHIN_S) as response:  # noqa: S310
                    stores = json.load(response)["stores"]
                return msgspec.convert(stores, dict[str, CopiesView])
    return {}


def roles(nodes: Iterable[Node]) -> Mapping[str, str]:
    """Return the role of each server of stores with copies, by its name."""
    return {server: store.role(server) for store in copies(nodes).values() for server in sorted(store.copies)}
