"""The copies of stores as their manager sees them, Sentinel or Valkey Cluster, by questions to the nodes of a deployment."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from harness.runtimes.base import Node
from protocols.copies.managed import cluster_primary, sentinels_primary

ANSWER_WITHIN_S = 0.5


class ManagedCopies:
    """The nodes of a deployment that is managed by `manager`. `store_urls`, by service, and `secret` are those of its record."""

    def __init__(self, manager: str, nodes: Iterable[Node], store_urls: Mapping[str, str], secret: str) -> None:
        self._manager = manager
        nodes = tuple(nodes)
        urls = [url for urls in store_urls.values() for url in urls.split()]
        by_address = {_address(url): url for url in urls}
        self._servers: dict[str, dict[str, str]] = {}
        """The URL of each server of each store, by name."""
        for node in nodes:
            if node.kind == "store":
                self._servers.setdefault(f"{node.service}-store", {})[node.name] = by_address[_address(node.url)]
        self._sentinels = [
            f"redis://:{secret}@{_address(node.url)}/0"
            for node in nodes
            if node.kind == "elector" and manager == "sentinel"
        ]

    def primaries(self) -> Mapping[str, str]:
        """Return the primary of each store, by name, as soon as most nodes of the manager have answered. It blocks."""
        chosen = self._in_cluster() if self._manager == "cluster" else self._by_sentinels()
        return {
            store: name
            for store, servers in self._servers.items()
            for name, url in servers.items()
            if _address(url) == chosen[store]
        }

    def _in_cluster(self) -> Mapping[str, str]:
        """Return the address of the primary of each store, "" for none."""
        urls = [url for servers in self._servers.values() for url in servers.values()]
        answers = _most(urls, ("CLUSTER", "NODES"))
        return {
            store: cluster_primary(answers, map(_address, servers.values())) for store, servers in self._servers.items()
        }

    def _by_sentinels(self) -> Mapping[str, str]:
        return {
            store: sentinels_primary(_most(self._sentinels, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", store)))
            for store in self._servers
        }

    def roles(self) -> Mapping[str, str]:
        """Return the role of each server in words, by its name. It blocks."""
        primaries = self.primaries()
        described: dict[str, str] = {}
        for store, servers in self._servers.items():
            facts = {name: _replication(url) for name, url in servers.items()}
            primary = facts.get(primaries.get(store, ""))
            described |= {name: _role(name, own, primaries.get(store, ""), primary) for name, own in facts.items()}
        return described


def _role(name: str, own: Mapping[str, Any] | None, primary_name: str, primary: Mapping[str, Any] | None) -> str:
    if own is None:
        return "no answer"
    if name == primary_name:
        return "primary"
    if own["role"] == "master":
        return "former primary"
    if own.get("master_link_status") != "up" or primary is None:
        return "copy, not connected"
    behind = int(primary["master_repl_offset"]) - int(own["slave_repl_offset"])
    return f"copy, {behind} bytes behind" if behind > 0 else "copy"


def _address(url: str) -> str:
    """Return the `host:port` of a URL."""
    return url.rpartition("//")[2].rpartition("@")[2].partition("/")[0]


def _most(urls: list[str], command: tuple[str, ...]) -> list[Any]:
    """Return the first answers to a command, of more than half of the nodes at these URLs; fewer if others are silent."""
    answers: list[Any] = []
    pool = ThreadPoolExecutor(len(urls))
    try:
        for asked in as_completed([pool.submit(_ask, url, *command) for url in urls]):
            answer = asked.result()
            if answer is not None:
                answers.append(answer)
            if 2 * len(answers) > len(urls):
                break
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return answers


def _ask(url: str, *command: str) -> Any:
    """Return the raw answer to a command; None without one."""
    with suppress(RedisError, OSError, ValueError):
        client = Redis.from_url(
            url, retry=Retry(NoBackoff(), 0), socket_timeout=ANSWER_WITHIN_S, socket_connect_timeout=ANSWER_WITHIN_S
        )
        with client:
            client.response_callbacks.clear()
            return client.execute_command(*command)  # type: ignore[no-untyped-call]
    return None


def _replication(url: str) -> Mapping[str, Any] | None:
    answer = _ask(url, "INFO", "replication")
    if answer is None:
        return None
    return dict(line.split(":", 1) for line in answer.decode().splitlines() if ":" in line)
