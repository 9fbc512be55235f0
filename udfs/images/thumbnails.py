"""An image's bytes → a small picture that stands in a page by itself."""

from __future__ import annotations

from base64 import b64encode

import numpy as np
import pyarrow as pa

from . import headers
from .decoding import decode
from .opencv import opencv
from .paths import Unreadable
from .sources import read

MAX_SIDE = 96  # pixels
AS_IT_IS_BYTES = 6144  # about what a thumbnail takes: a smaller file is one
KNOWN = {"JPEG": "jpeg", "PNG": "png", "GIF": "gif", "WebP": "webp", "AVIF": "avif", "BMP": "bmp"}
"""Formats that browsers show, with their MIME subtypes."""


def data_uri(data: bytes) -> str | None:
    """Return an image as a `data:` URI of at most MAX_SIDE pixels a side; None: it is no image.

    A small file of a format that browsers know stays as it is.

    Args:
        data: the encoded image, or anything else.
    """
    header = headers.header(memoryview(data))
    if not header.format or not header.width or not header.height:
        return None
    height, width = header.upright
    scale = min(1.0, MAX_SIDE / max(width, height))
    pixels = np.empty((max(1, round(height * scale)), max(1, round(width * scale)), 3), np.uint8)
    if decode(data, "bgr", pixels) is not None:
        return None
    if len(data) <= AS_IT_IS_BYTES and header.format in KNOWN:
        return _uri(KNOWN[header.format], data)
    _, encoded = opencv().imencode(".jpg", pixels)
    return _uri("jpeg", encoded.tobytes())


def of_value(value: bytes | str | dict[str, bytes | str | None] | None) -> str | None:
    """Return `data_uri` of a value of an image column: the bytes, their path or URI, or both."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if not isinstance(value, (bytes, str)):
        return None
    kind = pa.large_string() if isinstance(value, str) else pa.large_binary()
    try:
        data = read(pa.scalar(value, kind), "")
    except Unreadable:
        return None
    return data_uri(bytes(data))


def _uri(subtype: str, data: bytes) -> str:
    return f"data:image/{subtype};base64,{b64encode(data).decode()}"
