"""Read the bytes of one image through a URI: any scheme of fsspec, or a member of an archive."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from vista_sql import files

FileSystem: TypeAlias = Any  # fsspec has no types

MAX_BYTES = 1 << 30  # of one encoded image
OPEN_ARCHIVES = 8
ARCHIVES = ("zip", "tar")


class Unreadable(Exception):
    """One image cannot be read; the text is the reason that the user sees."""


@dataclass(frozen=True, slots=True)
class _Archive:
    files: FileSystem
    lock: threading.Lock = field(default_factory=threading.Lock)  # one reader at a time


def read(text: str, folder: str) -> bytes:
    """Return the bytes that a URI names.

    Args:
        text: `scheme://…`, or `zip://member::archive` and `tar://member::archive`.
        folder: what an archive's relative path is relative to; "" is the process's folder.

    Raises:
        Unreadable: there is nothing to read; the text says what and why.
    """
    try:
        import fsspec  # type: ignore[import-untyped,unused-ignore]

        scheme, member, archive = split(text)
        if archive:
            place = _place(archive, folder)
            opened = _archive(scheme, place, *stamp(text, folder))
            with opened.lock, opened.files.open(member, "rb") as file:
                data: bytes = file.read(MAX_BYTES + 1)
        else:
            with fsspec.open(text, "rb") as file:
                data = file.read(MAX_BYTES + 1)
    except Exception as error:  # any of a plug-in's own errors is this row's error
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, (FileNotFoundError, KeyError)):
            reason = "no such file"
        raise Unreadable(f"cannot open {text}: {reason}") from None
    if len(data) > MAX_BYTES:
        raise Unreadable(f"cannot open {text}: more than {MAX_BYTES} bytes")
    return data


def split(text: str) -> tuple[str, str, str]:
    """Return (scheme, what it names, the archive that this is a member of or "").

    Example:
        >>> split("zip://a/1.jpg::photos.zip")
        ('zip', 'a/1.jpg', 'photos.zip')
        >>> split("s3://bucket/1.jpg")
        ('s3', 'bucket/1.jpg', '')
    """
    scheme, _, rest = text.partition("://")
    if scheme.lower() not in ARCHIVES:
        return scheme.lower(), rest, ""
    member, _, archive = rest.partition("::")
    return scheme.lower(), member, archive


def stamp(text: str, folder: str) -> tuple[int, ...]:
    """Return the stamp of the local archive that a URI reads from; () where there is none.

    Two readings of a URI with one stamp give the same bytes.
    """
    archive = split(text)[2]
    if not archive or "://" in archive:
        return ()
    try:
        status = os.stat(_place(archive, folder))  # noqa: PTH116 - once per image
    except (OSError, ValueError):
        return ()
    return files.stamp(status)


def _place(archive: str, folder: str) -> str:
    return archive if "://" in archive else os.path.join(folder, archive)  # noqa: PTH118


@lru_cache(maxsize=OPEN_ARCHIVES)
def _archive(scheme: str, place: str, *_stamp: int) -> _Archive:
    """Return an open archive; its table of contents is read once, and again when it changes."""
    import fsspec

    return _Archive(fsspec.filesystem(scheme, fo=place, skip_instance_cache=True))
