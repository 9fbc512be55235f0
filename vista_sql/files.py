"""Paths → files that are whole or not there, and the user's folders in which ours lie."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

NAME = "vista_sql"
"""Of our folder in each of the user's."""


def stamp(status: os.stat_result) -> tuple[int, ...]:
    """Return what changes with a file's bytes, by all that the file system says of it.

    Size and time alone do not: rsync and tar write other bytes of that size and set the old time.
    """
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces what `path` names once the body has ended well.

    Until then, and where the body raises, what was there stays. Others see the old file or the new
    one, never a part of it. A pipe or a device is written to, and stays what it is.

    Args:
        path: the file; its folder is there.

    Raises:
        OSError: it cannot be written.
    """
    if "\0" in str(path):  # of which Python says that in a ValueError, as of no other path
        raise OSError(errno.EINVAL, "a path cannot contain a NUL character")
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            yield stream
        return
    half = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.half")
    try:
        with half.open("wb") as stream:
            yield stream
        half.replace(path)
    finally:
        with suppress(OSError):  # gone where it has its name; else the body's error is the one
            half.unlink()


def write(path: Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all; the folder is made if need be.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as stream:
        stream.write(text.encode())


def nearest_existing(path: str | Path) -> Path:
    """Return the path itself if it is there, else the nearest folder above it that is.

    Example:
        >>> nearest_existing("/no/such/folder")
        PosixPath('/')
    """
    place = Path(path)
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def user_cache() -> Path:
    """Return our folder of what can be made again: in `$XDG_CACHE_HOME`, `~/.cache` by default.

    Raises:
        RuntimeError: the user has no home folder.
    """
    import platformdirs

    return platformdirs.user_cache_path(NAME, appauthor=False)


def user_data() -> Path:
    """Return our folder of built files: in `$XDG_DATA_HOME`, `~/.local/share` by default.

    Raises:
        RuntimeError: the user has no home folder.
    """
    import platformdirs

    return platformdirs.user_data_path(NAME, appauthor=False)
