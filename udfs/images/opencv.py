"""OpenCV as images are read with it: in the calling thread, silent, up to a number of pixels."""

from __future__ import annotations

import os
from functools import cache
from types import ModuleType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

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
