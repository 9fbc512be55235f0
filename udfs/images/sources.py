"""Read the bytes of one image: from a BLOB, a path, or a URI.

A path is relative to the user's working folder. A URI is `file://…`, a member of an archive
(`zip://member::archive.zip`, `tar://member::archive.tar.gz`; the archive a path or a URI), or
of any scheme that fsspec reads (`s3://`, `gs://`, `https://`, `memory://` …).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Hashable

import pyarrow as pa

from vista_sql import files, store

from . import uris
from .uris import MAX_BYTES, Unreadable

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")


def identity(value: pa.Scalar, folder: str) -> Hashable:
    """Return what equal images share: the store's digest of a BLOB; a file's name and stamp."""
    if not is_text(value):
        return store.digest(value.as_buffer())
    text = value.as_py()
    path = local_path(text, folder)
    if path is None:
        return ("uri", text, *uris.stamp(text, folder))
    try:
        status = os.stat(path)  # noqa: PTH116 - once per image
    except (OSError, ValueError):
        return ("path", path)
    return ("path", path, *files.stamp(status))


def read(value: pa.Scalar, folder: str) -> pa.Buffer | bytes:
    """Return the encoded bytes of one image.

    Args:
        value: a large_binary scalar (the bytes themselves) or a large_string one (a path or a URI).
        folder: what relative paths are relative to; "" is the process's folder.

    Raises:
        Unreadable: there is nothing to read; the text says what and why.
    """
    if not is_text(value):
        return value.as_buffer()
    text = value.as_py()
    path = local_path(text, folder)
    if path is None:
        return uris.read(text, folder)
    try:
        status = os.stat(path)  # noqa: PTH116 - once per image
        if stat.S_ISDIR(status.st_mode):
            raise Unreadable(f"cannot open {text}: it is a folder")
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable(f"cannot open {text}: it is no regular file")
        if status.st_size > MAX_BYTES:
            raise Unreadable(
                f"cannot open {text}: {status.st_size} bytes, the limit is {MAX_BYTES}"
            )
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - twice as fast as Path.read_bytes
            return file.read()
    except FileNotFoundError:
        raise Unreadable(f"cannot open {text}: no such file") from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise Unreadable(f"cannot open {text}: {reason}") from None
    except ValueError as error:  # a path with a NUL character
        raise Unreadable(f"cannot open {text!r}: {error}") from None


def local_path(text: str, folder: str) -> str | None:
    """Return the file that `text` names, or None where it is a URI of another scheme than file."""
    if _SCHEME.match(text):
        if not text.lower().startswith("file://"):
            return None
        from urllib.request import url2pathname  # it loads ssl, which few need

        path = text[len("file://") :]
        return url2pathname(path.removeprefix("localhost"))
    return os.path.join(folder, text)  # noqa: PTH118 - an absolute `text` wins, as it should


def is_text(value: pa.Scalar) -> bool:
    """Return whether a value of an image column is a path or URI and not the image's bytes."""
    return bool(pa.types.is_large_string(value.type) or pa.types.is_string(value.type))


def is_stable(identity: Hashable) -> bool:
    """Return whether equal identities mean equal bytes, also in a later call."""
    return isinstance(identity, bytes) or (isinstance(identity, tuple) and len(identity) > 2)
