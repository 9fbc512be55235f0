"""Decode and resize one image: what is read, what it becomes, and what is an error.

The decode policy, the same for every CNN and a part of what its features mean:

* JPEG (baseline and progressive; grayscale, CMYK and YCCK become RGB), PNG, BMP, TIFF, WebP, GIF,
  AVIF, and whatever else OpenCV reads. Palettes are resolved; 1-bit and gray images become RGB with
  equal channels; of 16 bits the upper 8 are kept. Of an animation or several pages, the first.
* EXIF orientations 1 to 8 are applied.
* Transparent pixels are laid over white.
* Gray networks get ITU-R 601 luma (a JPEG's own where it has no transparency).
* Then one resize to the network's size: bilinear with half-pixel centres, no antialiasing, the
  aspect not kept (OpenCV's INTER_LINEAR on uint8).

Not an image, and said so in one line: no bytes, other bytes, an end that is missing (truncated),
data that OpenCV cannot decode, and more than MAX_PIXELS pixels, which is decided from the header
before any memory is spent. Damage in the middle that the decoder can step over is not seen.
"""

from __future__ import annotations

import os
from functools import cache
from types import ModuleType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from . import headers

Pixels: TypeAlias = npt.NDArray[np.uint8]

MAX_PIXELS = 1 << 28  # of one image: 0.8 GB as RGB; the largest phone cameras take 200 million


@cache
def opencv() -> ModuleType:
    """Import OpenCV, single-threaded and silent."""
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
    import cv2

    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def decode(data: pa.Buffer | bytes, order: str, out: Pixels) -> str | None:
    """Decode one image, resized, into `out` (height, width, channels) in the channels' `order`.

    Returns:
        None, or the reason why there is no image; `out` is then undefined.
    """
    view = memoryview(data).cast("B")  # an Arrow buffer counts its bytes as signed
    header = headers.header(view)
    if (header.width or 0) * (header.height or 0) > MAX_PIXELS:
        size = f"{header.width} × {header.height}"
        return f"a {header.format} of {size} pixels, the limit is {MAX_PIXELS:,} pixels"
    if not header.whole:
        return f"truncated {header.format} ({len(view)} bytes)"
    if not len(view):
        return "not an image (0 bytes)"
    cv2 = opencv()
    raw = np.frombuffer(data, np.uint8)
    try:
        image = _over_white(raw, order, header.format) if header.alpha else None
        if image is None:
            image = cv2.imdecode(raw, _flag(order))
        if image is None:
            if header.format:
                return f"damaged {header.format} ({len(view)} bytes): it cannot be decoded"
            return f"not an image ({headers.described(view)})"
        height, width, channels = out.shape
        target = out[:, :, 0] if channels == 1 else out
        cv2.resize(image, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
    except (cv2.error, MemoryError) as error:
        reason = " ".join((getattr(error, "err", "") or str(error)).split())
        return f"damaged {header.format or 'image'} ({len(view)} bytes): {reason}"
    return None


def _flag(order: str) -> int:
    cv2 = opencv()
    flags = {
        "rgb": cv2.IMREAD_COLOR_RGB,
        "bgr": cv2.IMREAD_COLOR_BGR,
        "gray": cv2.IMREAD_GRAYSCALE,
    }
    return int(flags[order])


def _over_white(raw: Pixels, order: str, format_: str) -> Pixels | None:
    """Decode an image over white; None where it has no transparent pixel after all."""
    cv2 = opencv()
    image, kinds, metadata = cv2.imdecodeWithMetadata(raw, flags=cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or image.shape[2] != 4:
        return None
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8 or image[:, :, 3].min() == 255:
        return None
    alpha = image[:, :, 3:].astype(np.uint16)
    colours = image[:, :, :3]
    if format_ == "TIFF":  # OpenCV hands out TIFF's colours multiplied by alpha already
        image = np.minimum(colours + (255 - alpha), 255).astype(np.uint8)
    else:
        image = ((colours * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    exif = [bytes(some) for kind, some in zip(kinds, metadata, strict=True) if kind == 0]
    image = _upright(image, headers.orientation(exif[0]) if exif else 1)
    if order == "bgr":
        return image
    code = cv2.COLOR_BGR2RGB if order == "rgb" else cv2.COLOR_BGR2GRAY
    converted: Pixels = cv2.cvtColor(image, code)
    return converted


def _upright(image: Pixels, orientation: int) -> Pixels:
    """Turn an image (height, width, channels) as its EXIF orientation says."""
    if orientation >= 5:  # the stored rows are columns
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
