"""Decoded pixels, lent from one call upon some rows to later calls upon the same rows.

Calls of several CNNs see the same rows, one after the other. Where their networks take images of
one size and order of channels, framed alike, the first call puts its pixels here and
others take them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

from ..images.opencv import Pixels

MAX_BYTES = 128 << 20  # some batches; what is left over by then is decoded again


class DecodedPixels:
    """Pixels by image, order of channels, framing and size; given out some times, then dropped."""

    def __init__(self) -> None:
        self._pixels: OrderedDict[Hashable, tuple[Pixels, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, key: Hashable, pixels: Pixels, takers: int) -> None:
        """Hold a copy of one image's pixels, uint8, for `takers` calls."""
        copied = pixels.copy()
        with self._lock:
            self._drop(key)
            self._pixels[key] = (copied, takers)
            self._bytes += copied.nbytes
            while self._bytes > MAX_BYTES:
                self._drop(next(iter(self._pixels)))

    def take(self, key: Hashable, out: Pixels) -> bool:
        """Copy an image's pixels to `out`; False where they are not here."""
        with self._lock:
            pixels, takers = self._pixels.get(key, (None, 0))
            if pixels is None:
                return False
            if takers > 1:
                self._pixels[key] = (pixels, takers - 1)
            else:
                self._drop(key)
        out[:] = pixels
        return True

    def _drop(self, key: Hashable) -> None:
        pixels, _ = self._pixels.pop(key, (None, 0))
        self._bytes -= 0 if pixels is None else pixels.nbytes
