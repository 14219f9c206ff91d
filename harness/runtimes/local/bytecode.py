"""Where service processes find their bytecode, so that one that starts again does not compile its libraries anew.

Bytecode is beside the sources in a clone (`make venv`), in our images and in most installations. Elsewhere nobody has made
it, and beside the sources it may not be written: `PYTHONDONTWRITEBYTECODE` is set, or the sources belong to somebody else, as
the system's Python does. There the first process to start leaves it in the user's folder for all that follow.
"""

import sys
from collections.abc import Iterable, Mapping
from importlib.util import cache_from_source, find_spec
from pathlib import Path

from harness.runtimes.deployment.registry import user_folder

SAMPLES = ("asyncio", "aiohttp", "protocols.service.app")
"""One module of Python's own library, of the libraries, and of ours."""


def variables(samples: Iterable[str] = SAMPLES) -> Mapping[str, str]:
    """The environment by which a process finds bytecode, or leaves it; nothing where it is beside the sources."""
    if all(_compiled(name) for name in samples):
        return {}
    prefix = sys.pycache_prefix or str(user_folder() / "bytecode")
    return {"PYTHONPYCACHEPREFIX": prefix, "PYTHONDONTWRITEBYTECODE": ""}


def _compiled(module: str) -> bool:
    spec = find_spec(module)
    return spec is not None and spec.origin is not None and Path(cache_from_source(spec.origin)).is_file()
