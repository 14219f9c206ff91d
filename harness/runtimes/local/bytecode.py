"""The place of the service processes' bytecode, so that a process that starts again does not compile its libraries anew.

Bytecode is beside the sources in a clone (`make venv`), in the images and in most installations. Elsewhere it does not exist
yet, and may not be written beside the sources: `PYTHONDONTWRITEBYTECODE` is set, or the sources belong to another user, as
those of the system's Python do. There the first process to start writes it to the user's folder for all that follow.
"""

import sys
from collections.abc import Iterable, Mapping
from importlib.util import cache_from_source, find_spec
from pathlib import Path

from harness.runtimes.deployment.registry import user_folder

SAMPLES = ("asyncio", "aiohttp", "protocols.service.app")
"""One module of Python's own library, one of the libraries, one of this project."""


def variables(samples: Iterable[str] = SAMPLES) -> Mapping[str, str]:
    """Return the variables by which a process finds or writes bytecode; none where it is beside the sources."""
    if all(_compiled(name) for name in samples):
        return {}
    prefix = sys.pycache_prefix or str(user_folder() / "bytecode")
    return {"PYTHONPYCACHEPREFIX": prefix, "PYTHONDONTWRITEBYTECODE": ""}


def _compiled(module: str) -> bool:
    spec = find_spec(module)
    return spec is not None and spec.origin is not None and Path(cache_from_source(spec.origin)).is_file()
