"""The copies of stores as the elector of a deployment sees them, ours or Valkey's own."""

import json
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http.client import HTTPException
from typing import TYPE_CHECKING

import msgspec

from harness.runtimes.base import Node
from harness.runtimes.deployment.spec import Spec
from protocols.copies.replication import replication

if TYPE_CHECKING:
    from harness.runtimes.deployment.managed_copies import ManagedCopies

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


def primaries(spec: Spec, nodes: Iterable[Node], store_urls: Mapping[str, str], secret: str) -> Mapping[str, str]:
    """Return the primary of each store by its name; empty without copies, and without an answer. It blocks."""
    if replication(spec.copies).best_effort:
        return _managed(spec, nodes, store_urls, secret).primaries()
    return {name: store.primary for name, store in copies(nodes).items() if store.primary}


def roles(spec: Spec, nodes: Iterable[Node], store_urls: Mapping[str, str], secret: str) -> Mapping[str, str]:
    """Return the role of each server of stores with copies, by its name. It blocks."""
    if replication(spec.copies).best_effort:
        return _managed(spec, nodes, store_urls, secret).roles()
    return {server: store.role(server) for store in copies(nodes).values() for server in sorted(store.copies)}


def _managed(spec: Spec, nodes: Iterable[Node], store_urls: Mapping[str, str], secret: str) -> "ManagedCopies":
    from harness.runtimes.deployment.managed_copies import ManagedCopies  # noqa: PLC0415 - a client for these values alone

    return ManagedCopies(str(spec.copies), nodes, store_urls, secret)
