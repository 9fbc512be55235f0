"""What planning may know of images beforehand: of those at hand, and of each a little.

At hand is what a column holds itself, and regular files here of schemes that may be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from vista_sql.kernels import MOST_DECODING_BYTES, AtHand

from . import digests, headers, inline, paths, prepared
from .paths import Unreadable

MOST_BYTES = 1 << 24
"""A file that is larger is not read for planning."""

HEAD_BYTES = 1 << 18  # of a file: a header lies in them, behind most metadata

Row: TypeAlias = tuple[float | None, bytes | None, str | None]
"""An image: the bytes it has and its first ones; or the text that names it or, cut, holds it."""

Value: TypeAlias = bytes | str | Mapping[str, bytes | str | None] | None
"""What an image column holds in one row, as Python has it."""


def at_hand(rows: Iterable[Row], schemes: str) -> AtHand:
    """Return what is known of the images at hand: that are in their column, or in files here.

    Args:
        rows: some images.
        schemes: of URIs that may be read, with commas between; "": all.
    """
    encoded, decoding, n_prepared = [], [], 0
    for n_bytes, head, text in rows:
        size, begin = n_bytes, head
        if begin is None and text is not None:
            size, begin = _beginning(text, schemes)
        if begin is None or size is None:
            continue
        encoded.append(float(size))
        header = headers.header(memoryview(begin))
        takes = header.takes()
        n_prepared += header.format == prepared.FORMAT
        if header.format and not header.refused and takes <= MOST_DECODING_BYTES:
            decoding.append(takes)
    if not encoded:
        return AtHand()
    n_images = len(encoded)
    return AtHand(sum(encoded) / n_images, max(decoding, default=None), n_prepared / n_images)


def found_digests(values: Iterable[Value], schemes: str) -> list[bytes]:
    """Return the digests under which the feature store knows images, of those at hand.

    Args:
        values: of an image column.
        schemes: of URIs that may be read, with commas between; "": all.
    """
    encoded = (_encoded(value, schemes) for value in values)
    return [digests.digest(data) for data in encoded if data]


def _encoded(value: Value, schemes: str) -> bytes | None:
    if isinstance(value, Mapping):
        parts = {name.lower(): part for name, part in value.items()}
        value = parts["path"] if parts["bytes"] is None else parts["bytes"]
    if not isinstance(value, str):
        return value
    size, data = _beginning(value, schemes, MOST_BYTES)
    return data if size is not None and data is not None and len(data) == size else None


def _beginning(
    value: str, schemes: str, n_bytes: int = HEAD_BYTES
) -> tuple[float | None, bytes | None]:
    """Return the size of the image that a text names or holds, and its first bytes."""
    text = inline.unquoted(value)
    try:
        data = None if text is None else inline.image(text)
        if text is None or data is not None:
            return (None, None) if data is None else (len(data), data[:n_bytes])
        path = paths.local_path(text, "")
        if path is None:
            return None, None
        paths.check_scheme(text, text, schemes)
        size = paths.check_regular(text, path).st_size  # no device, no pipe
        with Path(path).open("rb") as file:
            return size, file.read(n_bytes)
    except (Unreadable, OSError, ValueError):
        return None, None  # elsewhere, or not there at all
