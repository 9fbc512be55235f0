"""Read the bytes of one image through a URI: any scheme of fsspec, or a member of an archive."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import lru_cache
from typing import Any, BinaryIO, TypeAlias

from msgspec import Struct, field

from vista_sql import files

from . import paths
from .memory import Dropped
from .paths import Unreadable

FileSystem: TypeAlias = Any  # fsspec has no types

SILENT_SECONDS = 30.0
"""How long a server may say nothing before its image is given up."""

CHUNK_BYTES = 1 << 20  # that are read at once, each within SILENT_SECONDS
OPEN_ARCHIVES = 8
ARCHIVES = ("zip", "tar")


class _Archive(Struct, frozen=True):
    files: FileSystem
    lock: threading.Lock = field(default_factory=threading.Lock)  # one reader at a time


class _Silent(Exception):
    """No byte came for SILENT_SECONDS."""


def read(
    text: str, folder: str, schemes: str = "", grow: Callable[[int], None] = paths.ignored
) -> bytes:
    """Return the bytes that a URI names.

    Args:
        text: `scheme://…`, or `zip://member::archive` and `tar://member::archive`.
        folder: what an archive's relative path is relative to; "" is the process's folder.
        schemes: those that may be read, with commas between; "": all.
        grow: told of bytes as they come; it may wait until there is room for them.

    Raises:
        Unreadable: there is nothing to read; the text says what and why.
    """
    scheme, member, archive = split(text)
    if scheme in ARCHIVES and not (member and archive):
        form = f"{scheme}://member::archive.{scheme}"
        raise paths.unreadable(text, f"a member and its archive are named as {form}")
    first, *behind = text.split("::")
    for part in (first, *behind):
        paths.check_scheme(text, part, schemes)
    for part in behind:
        if (place := paths.local_path(part, folder)) is not None:
            paths.check_regular(text, place, "no such archive")
    try:
        if not archive:
            return _heard(text, lambda: _chunks(_opened(text)), grow)
        if paths.local_path(archive, folder) is None:
            return _heard(text, lambda: _members_chunks(text, folder), grow)
        with closing(_members_chunks(text, folder)) as chunks:
            return paths.all_of(text, chunks, grow)
    except (Unreadable, Dropped):
        raise
    except _Silent:
        raise paths.unreadable(text, f"no byte came for {SILENT_SECONDS:g} s") from None
    except Exception as error:  # any of a plug-in's own errors is this row's error
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, (FileNotFoundError, KeyError)):
            reason = "the archive has no such member" if archive else "no such file"
        raise paths.unreadable(text, reason) from None


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
    place = paths.local_path(archive, folder) if archive else None
    if place is None:
        return ()
    try:
        status = os.stat(place)  # noqa: PTH116 - once per image
    except (OSError, ValueError):
        return ()
    return files.stamp(status)


def _opened(text: str) -> BinaryIO:
    """Open a URI for reading; over HTTP as one stream."""
    import fsspec  # type: ignore[import-untyped,unused-ignore]

    options = {"block_size": 0} if text.lower().startswith(("http://", "https://")) else {}
    opened: BinaryIO = fsspec.open(text, "rb", **options).open()
    return opened


def _members_chunks(text: str, folder: str) -> Generator[bytes]:
    """Yield the chunks of an archive's member."""
    scheme, member, archive = split(text)
    place = paths.local_path(archive, folder) or archive
    try:
        opened = _archive(scheme, place, *stamp(text, folder))
    except FileNotFoundError:
        raise paths.unreadable(text, "no such archive") from None
    with opened.lock:
        yield from _chunks(opened.files.open(_name_in(opened.files, member), "rb"))


def _name_in(files: FileSystem, member: str) -> str:
    """Return how an archive calls a member: `./1.jpg` and `1.jpg` are one."""
    plain = member.removeprefix("./")
    return next((name for name in (member, plain, f"./{plain}") if files.exists(name)), member)


def _chunks(opened: BinaryIO) -> Generator[bytes]:
    """Yield what a file holds, and close it."""
    with opened as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _heard(text: str, chunks: Callable[[], Generator[bytes]], grow: Callable[[int], None]) -> bytes:
    """Return all of some chunks, which a thread of its own reads: it may be given up.

    Raises:
        _Silent: nothing came for SILENT_SECONDS.
        Unreadable: it is too much, or no image.
    """
    heard: queue.Queue[bytes | Exception | None] = queue.Queue(maxsize=2)
    given_up = threading.Event()

    def listen() -> None:
        try:
            with closing(chunks()) as all_chunks:
                for chunk in all_chunks:
                    heard.put(chunk)
                    if given_up.is_set():
                        return
            heard.put(None)
        except Exception as error:  # told where it is waited for
            heard.put(error)

    def chunk_by_chunk() -> Iterator[bytes]:
        while True:
            try:
                chunk = heard.get(timeout=SILENT_SECONDS)
            except queue.Empty:
                raise _Silent from None
            if chunk is None:
                return
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    threading.Thread(target=listen, name="vista-listen", daemon=True).start()
    try:
        return paths.all_of(text, chunk_by_chunk(), grow)
    finally:
        given_up.set()
        while not heard.empty():  # so that the listener can end
            heard.get_nowait()


@lru_cache(maxsize=OPEN_ARCHIVES)
def _archive(scheme: str, place: str, *_stamp: int) -> _Archive:
    """Return an open archive; its table of contents is read once, and again when it changes."""
    import fsspec

    return _Archive(fsspec.filesystem(scheme, fo=place, skip_instance_cache=True))
