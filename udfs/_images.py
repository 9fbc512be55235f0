"""Decode and resize one image with OpenCV (the policy's text follows)."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

Pixels: TypeAlias = "np.ndarray[Any, np.dtype[np.uint8]]"


@cache
def opencv() -> ModuleType:
    """Import OpenCV, single-threaded and silent."""
    import cv2

    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def decode(data: pa.Buffer | bytes, order: str, out: Pixels) -> str | None:
    """Decode one image, resized, into `out` (height, width, channels) in the channels' `order`.

    Returns:
        None, or the reason why there is no image; `out` is then undefined.
    """
    cv2 = opencv()
    raw = np.frombuffer(data, np.uint8)
    if not len(raw):
        return "not an image (0 bytes)"
    flag = {
        "rgb": cv2.IMREAD_COLOR_RGB,
        "bgr": cv2.IMREAD_COLOR_BGR,
        "gray": cv2.IMREAD_GRAYSCALE,
    }[order]
    try:
        image = cv2.imdecode(raw, flag)
    except cv2.error as error:
        return f"cannot be decoded: {error.err}"
    if image is None:
        head = bytes(raw[:4]).hex(" ")
        return f"not an image ({len(raw)} bytes, starts with {head})"
    height, width, channels = out.shape
    target = out[:, :, 0] if channels == 1 else out
    cv2.resize(image, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
    return None
