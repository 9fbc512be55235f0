"""An encoded image → what people look for first: its size and mode, light, contrast, sharpness.

Measured is the upright image, RGB, of at most LONGEST pixels a side: a larger one is brought there
by the means of areas ('antialias'), so that a large JPEG is decoded at a smaller DCT scale. All
but sharpness and colour comes from the histogram of its grey levels (ITU-R 601 luma).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from msgspec import Struct

from vista_sql.kernels import MOST_DECODING_BYTES

from . import decoding, headers
from .header import Header
from .opencv import Pixels, opencv

LONGEST = 512
"""Pixels of the longer side of what is measured, at most: as CleanVision measures blur."""

DARKEST, BRIGHTEST = 0.05, 0.99
"""The shares of pixels below which the percentiles `light` and `dark` lie."""

LOOKED_AT = 16
"""Of so many rows one is looked at first, whether it is gray: of most images, not all are."""

_EDGES = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], np.float32)


class Quality(Struct, frozen=True):
    """What was measured of one image; None: it cannot be read that far."""

    format: str | None = None
    width: int | None = None  # upright
    height: int | None = None
    mode: str | None = None  # as stored, by Pillow's names
    bytes: int | None = None  # encoded
    brightness: float | None = None  # mean grey level, 0 to 1
    contrast: float | None = None  # standard deviation of the grey levels, 0 to .5
    sharpness: float | None = None  # standard deviation of the edges' strength, 0 to 127.5
    entropy: float | None = None  # of the grey levels, bits, 0 to 8
    light: float | None = None  # the grey level below which a twentieth of the pixels lies
    dark: float | None = None  # … and all but a hundredth
    gray: bool | None = None  # all channels are equal
    error: str | None = None


def measure(data: pa.Buffer | bytes, most_bytes: int = MOST_DECODING_BYTES) -> Quality:
    """Measure one image.

    Args:
        data: the encoded image.
        most_bytes: what decoding it may take.

    Returns:
        What was measured; where it cannot be decoded, what its header says and the reason.
    """
    view = memoryview(data).cast("B")
    header = headers.header(view)
    height, width = header.upright
    known = {
        "format": header.format or None,
        "width": width or None,
        "height": height or None,
        "mode": header.mode or None,
        "bytes": len(view),
    }
    image, reason = _pixels(view, header, most_bytes)
    if image is None:
        return Quality(**known, error=reason)  # type: ignore[arg-type]
    return Quality(**known, **_measured(image))  # type: ignore[arg-type]


def _pixels(view: memoryview, header: Header, most_bytes: int) -> tuple[Pixels | None, str | None]:
    """Return what is measured, RGB uint8 (height, width, 3); or None and the reason."""
    height, width = header.upright
    ratio = max(height, width, LONGEST) / LONGEST
    shape = (max(round(height / ratio), 1), max(round(width / ratio), 1), 3)
    out = np.empty(shape, np.uint8)
    reason = decoding.decode_picture(view, "rgb", out, most_bytes)
    return (None, reason) if reason else (out, None)


def _measured(image: Pixels) -> dict[str, float | bool]:
    cv2 = opencv()
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    counts = cv2.calcHist([luma], [0], None, [256], [0, 256]).reshape(-1)  # exact
    shares = counts.astype(np.float64) / luma.size
    levels = np.arange(256) / 255
    mean = float(shares @ levels)
    edges = cv2.filter2D(luma, cv2.CV_8U, _EDGES, borderType=cv2.BORDER_REPLICATE)
    below = np.cumsum(shares)
    some = shares[shares > 0]
    return {
        "brightness": mean,
        "contrast": float(np.sqrt(max(shares @ levels**2 - mean**2, 0.0))),
        "sharpness": float(cv2.meanStdDev(edges)[1][0, 0]),
        "entropy": float(-(some @ np.log2(some))) + 0.0,  # of one level 0, not -0
        "light": float(levels[np.searchsorted(below, DARKEST)]),
        "dark": float(levels[np.searchsorted(below, BRIGHTEST)]),
        "gray": _is_gray(image[::LOOKED_AT]) and _is_gray(image),
    }


def _is_gray(image: Pixels) -> bool:
    red, green, blue = (image[:, :, channel] for channel in range(3))
    return bool((red == green).all() and (green == blue).all())
