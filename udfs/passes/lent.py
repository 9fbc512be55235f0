"""What one call made of images, lent to later calls upon the same rows.

Calls of several CNNs see the same rows, one after the other. Where their networks take images of
one size and order of channels, framed alike, the first call lends its pixels; where they begin
alike, the raw maps of the last layer that they have in common.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

MOST_PIXEL_BYTES = 128 << 20  # some batches; what is left over by then is decoded again
MOST_MAP_BYTES = 256 << 20  # some batches; of what is left over by then the whole network runs


class Lent:
    """Arrays by what they are of; given out some times, then dropped; safe in any thread."""

    def __init__(self, most_bytes: int = MOST_PIXEL_BYTES) -> None:
        """Hold nothing.

        Args:
            most_bytes: of all arrays; above that the oldest go.
        """
        self._most_bytes = most_bytes
        self._held: OrderedDict[Hashable, tuple[np.ndarray, int, str]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, key: Hashable, array: np.ndarray, takers: int, run: str = "") -> None:
        """Hold a copy of an array for `takers` calls, of a run."""
        copied = array.copy()
        with self._lock:
            self._drop(key)
            self._held[key] = (copied, takers, run)
            self._bytes += copied.nbytes
            while self._bytes > self._most_bytes:
                self._drop(next(iter(self._held)))

    def has(self, key: Hashable) -> bool:
        """Return whether an array is here, without taking it."""
        with self._lock:
            return key in self._held

    def take(self, key: Hashable) -> np.ndarray | None:
        """Return an array, which is not to be written to; None where it is not here."""
        with self._lock:
            array, takers, run = self._held.get(key, (None, 0, ""))
            if array is not None and takers > 1:
                self._held[key] = (array, takers - 1, run)
            else:
                self._drop(key)
        return array

    def forget(self, run: str) -> None:
        """Drop what nobody took of a run and of its parts, `run/…`."""
        with self._lock:
            for key, (_, _, name) in list(self._held.items()):
                if name == run or name.startswith(f"{run}/"):
                    self._drop(key)

    def _drop(self, key: Hashable) -> None:
        array, *_ = self._held.pop(key, (None, 0, ""))
        self._bytes -= 0 if array is None else array.nbytes
