"""A column of images → its distinct images: which rows show each, and what identifies it."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pyarrow as pa

from ..passes.arrow import Column, one_array
from . import paths, sources


class DistinctImages:
    """The distinct images of one column, numbered in the order in which they first occur."""

    def __init__(self, images: Column, folder: str, schemes: str = "") -> None:
        """Number the images of a column.

        Args:
            images: BLOBs, or paths and URIs; NULL: no image.
            folder: what relative paths are relative to; "" is the process's folder.
            schemes: of URIs that may be read, with commas between; "": all.
        """
        encoded = one_array(images).dictionary_encode()
        self._values: pa.Array = encoded.dictionary
        self._folder, self._schemes = folder, schemes
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        self.not_null: np.ndarray = codes >= 0
        """bool (rows,): which rows have an image."""
        rows = np.flatnonzero(self.not_null)
        order = np.argsort(codes[rows], kind="stable")
        self._rows = rows[order]
        self._starts = np.searchsorted(codes[rows][order], np.arange(len(self._values) + 1))
        self.last: int = int(codes[rows[-1]]) if len(rows) else -1
        """The image of the last row that has one; -1: no row has any."""

    def __len__(self) -> int:
        return len(self._values)

    @property
    def n_rows(self) -> int:
        """How many rows the column has, with an image or without."""
        return len(self.not_null)

    @property
    def n_not_null(self) -> int:
        """How many rows have an image."""
        return int(np.count_nonzero(self.not_null))

    def rows(self, image: int) -> np.ndarray:
        """Return the rows that show one image, ascending."""
        return self._rows[self._starts[image] : self._starts[image + 1]]

    def identity(self, image: int) -> Hashable:
        """Return what equal images share within a process."""
        return sources.identity(self._values[image], self._folder)

    def is_remote(self, image: int) -> bool:
        """Return whether one image waits for more than this machine's files."""
        value = self._values[image]
        return sources.is_text(value) and paths.local_path(value.as_py(), self._folder) is None

    def read(self, image: int) -> pa.Buffer | bytes:
        """Return the encoded bytes of one image.

        Raises:
            Unreadable: there is nothing to read; the text says what and why.
        """
        return sources.read(self._values[image], self._folder, self._schemes)
