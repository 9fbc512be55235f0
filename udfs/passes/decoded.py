"""Decoded images that a later call upon the same rows asks for: of another CNN, of equal size."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

from ..images.decoding import Pixels

MAX_BYTES = 128 << 20  # some batches; what is left over by then is decoded again


class Decoded:
    """Pixels by image, order of channels and size; given out a number of times, then dropped."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[Pixels, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def keep(self, key: Hashable, pixels: Pixels, takers: int) -> None:
        """Keep a copy of one image's pixels for `takers` calls."""
        own = pixels.copy()
        with self._lock:
            self._drop(key)
            self._kept[key] = (own, takers)
            self._bytes += own.nbytes
            while self._bytes > MAX_BYTES:
                self._drop(next(iter(self._kept)))

    def take(self, key: Hashable, out: Pixels) -> bool:
        """Copy an image's pixels to `out`; False where they are not here."""
        with self._lock:
            pixels, takers = self._kept.get(key, (None, 0))
            if pixels is None:
                return False
            if takers > 1:
                self._kept[key] = (pixels, takers - 1)
            else:
                self._drop(key)
        out[:] = pixels
        return True

    def _drop(self, key: Hashable) -> None:
        pixels, _ = self._kept.pop(key, (None, 0))
        self._bytes -= 0 if pixels is None else pixels.nbytes
