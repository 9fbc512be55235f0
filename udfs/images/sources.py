"""Read the bytes of one image: from a BLOB, a path, or a URI.

A path is relative to the user's working folder. A URI is `file://…`, a member of an archive
(`zip://member::archive.zip`, `tar://member::archive.tar.gz`; the archive a path or a URI), or
of any scheme that fsspec reads (`s3://`, `gs://`, `https://`, `memory://` …).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable

import pyarrow as pa
from msgspec import Struct

from vista_sql import files

from . import inline, paths, uris
from .digests import digest
from .paths import ignored


class Crop(Struct, frozen=True):
    """What equal crops of a file share."""

    whole: Hashable  # of the file
    box: bytes


def identity(value: pa.Scalar, folder: str) -> Hashable:
    """Return what equal images share: the store's digest of a BLOB; a file's name and stamp."""
    if not is_text(value):
        return digest(value.as_buffer())
    text = value.as_py()
    path = paths.local_path(text, folder)
    if path is None:
        return ("uri", text, *uris.stamp(text, folder))
    try:
        status = os.stat(path)  # noqa: PTH116 - once per image
    except (OSError, ValueError):
        return ("path", path)
    return ("path", path, *files.stamp(status))


def read(
    value: pa.Scalar, folder: str, schemes: str = "", grow: Callable[[int], None] = ignored
) -> pa.Buffer | bytes:
    """Return the encoded bytes of one image.

    Args:
        value: a large_binary scalar (the bytes themselves) or a large_string one (a path or a URI).
        folder: what relative paths are relative to; "" is the process's folder.
        schemes: of URIs that may be read, with commas between; "": all.
        grow: told of bytes before they are there; it may wait until there is room for them.

    Raises:
        Unreadable: there is nothing to read; the text says what and why.
    """
    if not is_text(value):
        return value.as_buffer()
    text = value.as_py()
    inline.image(text)  # which says why it is none: else it would be here as bytes
    path = paths.local_path(text, folder)
    if path is None:
        return uris.read(text, folder, schemes, grow)
    paths.check_scheme(text, text, schemes)
    n_bytes = paths.check_regular(text, path).st_size
    if n_bytes > paths.MAX_BYTES:
        raise paths.unreadable(text, f"{n_bytes} bytes, the limit is {paths.MAX_BYTES}")
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - twice as fast as Path.read_bytes
            if n_bytes > paths.LOOKED_AT_BYTES:
                paths.check_beginning(text, file.read(paths.LOOKED_AT_BYTES))
                file.seek(0)
            grow(n_bytes)
            return file.read()
    except OSError as error:
        raise paths.unreadable(text, (error.strerror or type(error).__name__).lower()) from None


def is_text(value: pa.Scalar) -> bool:
    """Return whether a value of an image column is a path or URI and not the image's bytes."""
    return bool(pa.types.is_large_string(value.type) or pa.types.is_string(value.type))


def is_stable(identity: Hashable) -> bool:
    """Return whether equal identities mean equal bytes, also in a later call."""
    if isinstance(identity, Crop):
        return is_stable(identity.whole)
    return isinstance(identity, bytes) or (isinstance(identity, tuple) and len(identity) > 2)
