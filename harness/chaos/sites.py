"""Where a run takes place: one row a runtime."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.chaos.ending import Ask
from harness.operator import Operator
from harness.runtimes.base import Breakable
from harness.runtimes.local.deployment import LocalDeployment
from harness.runtimes.local.spec import Spec
from protocols.core import UsageError


@dataclass(frozen=True, slots=True)
class Site:
    """A shop that can be broken. `ask` looks into it; `logs` is where its nodes speak; `clear` removes what it left."""

    runtime: Breakable
    ask: Ask
    logs: Path
    clear: Callable[[], None] = lambda: None


def local(spec: Spec) -> Site:
    folder = Path(tempfile.mkdtemp(prefix="wdm-chaos-"))
    shop = LocalDeployment(spec, folder)

    async def ask() -> list[dict[str, object]]:
        return await Operator(shop.nodes(), shop.secret).unfinished()

    return Site(shop, ask, shop.folder.logs, lambda: shutil.rmtree(folder, ignore_errors=True))


SITES: Mapping[str, Callable[[Spec], Site]] = {"local": local}


def site(runtime: str, spec: Spec) -> Site:
    """Raises `UsageError` naming the runtimes there are."""
    if runtime not in SITES:
        raise UsageError(f"no runtime {runtime!r} for `wdm chaos`; there are: {', '.join(SITES)}")
    return SITES[runtime](spec)
