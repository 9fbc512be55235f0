"""What libpng, libjpeg and libtiff print on C's stderr while they decode → nothing.

They say of a picture's oddities, a line each, on the stream `stderr` of the C library. While any
image is decoded that variable is a stream to nowhere; the file descriptor 2, and with it what
Python and other processes say, stays.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vista_sql.once import once


class Silence:
    """Exchanges C's `stderr` while anyone is inside; safe in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._stream, self._nowhere = _streams()
        self._before: int | None = None

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Enclose a decoding."""
        with self._lock:
            self._n_inside += 1
            if self._n_inside == 1 and self._stream is not None:
                self._before, self._stream.value = self._stream.value, self._nowhere
        try:
            yield
        finally:
            with self._lock:
                self._n_inside -= 1
                if self._n_inside == 0 and self._stream is not None:
                    self._stream.value = self._before


def _streams() -> tuple[ctypes.c_void_p | None, int | None]:
    """Return C's variable `stderr` and a stream to nowhere; (None, None) where there is none."""
    try:
        library = ctypes.CDLL(None)
        name = "__stderrp" if sys.platform == "darwin" else "stderr"
        variable = ctypes.c_void_p.in_dll(library, name)
        library.fopen.restype = ctypes.c_void_p
        nowhere: int | None = library.fopen(os.devnull.encode(), b"w")
    except (AttributeError, OSError, TypeError, ValueError):
        return None, None
    return (variable, nowhere) if nowhere else (None, None)


@once
def silence() -> Silence:
    """Return the process's."""
    return Silence()
