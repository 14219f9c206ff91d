"""The file with the addresses of a shop, `urls.json` of the course's benchmark, and its variants.

    {"ORDER_URL": "http://127.0.0.1:8000", "STOCK_URL": "...", "PAYMENT_URL": "..."}

Keys may be in any case and nested (`{"order": {"url": ...}}`); a key without the name of a service is the gateway's.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.judge.shop import PREFIXES
from protocols.errors import UsageError

WORDS: Mapping[str, frozenset[str]] = {
    "orders": frozenset({"order", "orders"}),
    "stock": frozenset({"stock", "stocks", "item", "items", "inventory"}),
    "payment": frozenset({"payment", "payments", "user", "users"}),
}
"""The words in the keys of each service."""


def read_urls(file: Path) -> dict[str, str | None]:
    """Return the address for each of `PREFIXES`, None where the file has none. Raises `UsageError` naming file and defect."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{file}: there is no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: it cannot be read as JSON: {error}") from None
    found = list(_texts(content, ()))
    gateway = _only(
        file, "the gateway", [url for words, url in found if not any(words & WORDS[name] for name in PREFIXES)]
    )
    urls = {
        prefix: _only(file, prefix, [url for words, url in found if words & WORDS[prefix]]) or gateway
        for prefix in PREFIXES
    }
    if not any(urls.values()):
        raise UsageError(f"{file}: it has no address; it needs the keys ORDER_URL, STOCK_URL and PAYMENT_URL")
    return urls


def _texts(value: object, words: tuple[str, ...]) -> Iterator[tuple[frozenset[str], str]]:
    """Yield each address with the words of the keys that lead to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", str(key))
            yield from _texts(inner, (*words, *re.findall(r"[a-z]+", spaced.lower())))
    elif isinstance(value, str) and "://" in value:
        yield frozenset(words), value.strip()


def _only(file: Path, name: str, urls: list[str]) -> str | None:
    """Return the one address among these, None without any."""
    different = list(dict.fromkeys(urls))
    if len(different) > 1:
        raise UsageError(f"{file}: it has several addresses of {name}: {', '.join(different)}; leave one of them")
    return different[0] if different else None
