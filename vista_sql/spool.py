"""A temporary file without a name: gone with the process, however that ends."""

from __future__ import annotations

import tempfile
import threading

import numpy as np
import numpy.typing as npt


class Spool:
    """Bytes that memory has no room for, written at the end and read anywhere, by any thread."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this object
        self._lock = threading.Lock()  # the file has one position
        self.n_bytes = 0

    def write(self, values: npt.NDArray[np.generic]) -> None:
        """Append the bytes of a contiguous array."""
        with self._lock:
            self._file.seek(self.n_bytes)
            self._file.write(values.view(np.uint8).data)
            self.n_bytes += values.nbytes

    def read(self, into: npt.NDArray[np.uint8], start: int = 0) -> None:
        """Fill an array with the bytes from `start` on.

        Raises:
            OSError: the file is shorter.
        """
        view, n_read = memoryview(into.data), 0
        with self._lock:
            self._file.seek(start)
            while n_read < len(view):
                n = self._file.readinto(view[n_read:])
                if not n:
                    raise OSError("a temporary file is shorter than what was written to it")
                n_read += n

    def clear(self) -> None:
        """Forget what was written."""
        self._file.seek(0)
        self._file.truncate()
        self.n_bytes = 0

    def close(self) -> None:
        """Free the disk; safe to call twice."""
        self._file.close()
