"""Where a user's files of the shell lie: the worker's socket and log."""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import sys
from pathlib import Path

from vista_sql.errors import HostError
from vista_sql.machine.resources import own_version


def check_system() -> None:
    """Refuse a system on which the extension and its worker cannot run.

    Raises:
        HostError: this is not Linux.
    """
    if sys.platform != "linux":
        raise HostError(
            f"the duckdb shell's extension and its worker run on Linux only, and this is "
            f"{platform.system() or sys.platform}: use `vista query`, or Python"
        )


def runtime_folder() -> Path:
    """Return the folder of sockets, as the extension finds it (link.c); nothing is created."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and Path(base).is_dir():
        return Path(base) / "vista_sql"
    return Path(f"/tmp/vista_sql-{os.geteuid()}")


def worker_name() -> str:
    """Return the name of this installation's worker: one for all shells that use it."""
    place = f"{sys.prefix}\0{Path(__file__).parent}"
    return f"{own_version()}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def socket_path() -> Path:
    """Return where this installation's worker listens."""
    return runtime_folder() / f"{worker_name()}.sock"


def make_private(folder: Path) -> None:
    """Make a folder that only this user can enter, or check that it is one.

    Raises:
        HostError: somebody else owns it, or could enter it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise HostError(
            f"{folder} must be a folder of yours that nobody else can enter (mode 700; it has "
            f"owner {status.st_uid}, mode {stat.S_IMODE(status.st_mode):o}): remove it, or set "
            "XDG_RUNTIME_DIR to another place"
        )
