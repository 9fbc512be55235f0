"""An image's encoded bytes → the digest under which the feature store knows it."""

from __future__ import annotations

import struct
from typing import Any

from vista_sql import store

from . import headers
from .framing import Box

REVISION = b"pixels 2"
"""Of the kinds that were once read otherwise: what the store has of them from then is not found."""


def crop_digest(whole: bytes, box: Box) -> bytes:
    """Return the digest of what is cut out of an image: of the image's digest, and of the box."""
    found: bytes = store.digest(whole + struct.pack("<4d", *box))
    return found


def digest(data: Any) -> bytes:
    """Return the digest of an image: of its bytes, and of how they are read where that changed.

    Args:
        data: any buffer.
    """
    found: bytes = store.digest(data)
    if headers.header(memoryview(data).cast("B")).changed:
        found = store.digest(found + REVISION)
    return found
