"""The user's own folder, and in it the list of the state folders with a deployment, which `wdm down --all` reads."""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from protocols.errors import UsageError


@cache
def user_folder() -> Path:
    """Return `$XDG_STATE_HOME/wdm` or `~/.local/state/wdm`; a folder below the temporary one where that is not writable."""
    for folder in _candidates():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        # A folder in /tmp that another user made first cannot be trusted.
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid():
            return folder
    return Path(tempfile.mkdtemp(prefix="wdm-"))


def expanded(path: Path) -> Path:
    """Return a path with `~` replaced by the home. Raises `UsageError` without a home, as for many users of containers."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise UsageError(f"{path}: ~ stands for no known home; name the folder, or set HOME") from None


def _candidates() -> Iterator[Path]:
    with suppress(UsageError):
        yield expanded(Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state")) / "wdm"
    yield Path(tempfile.gettempdir()) / f"wdm-{os.getuid()}"


def known() -> list[Path]:
    """Return the state folders that have, or had, a deployment."""
    try:
        lines = _list().read_text().splitlines()
    except FileNotFoundError:
        return []
    return [Path(line) for line in lines if line]


def remember(folder: Path) -> None:
    """Add a state folder to the list. Raises `OSError`."""
    _edit(lambda lines: lines if str(folder) in lines else [*lines, str(folder)])


def forget(folder: Path) -> None:
    """Remove a state folder from the list. Raises `OSError`."""
    _edit(lambda lines: [line for line in lines if line != str(folder)])


def _list() -> Path:
    return user_folder() / "deployments"


def _edit(change: Callable[[list[str]], list[str]]) -> None:
    """Replace the list in one step: on a full disk it stays as it was. Raises `OSError`."""
    with _list().with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = _list().read_text().splitlines() if _list().exists() else []
        after = change(before)
        if after == before:
            return
        draft = _list().with_suffix(".draft")
        try:
            draft.write_text("".join(f"{line}\n" for line in after))
            draft.replace(_list())
        except OSError:
            draft.unlink(missing_ok=True)
            raise
