"""The distinct images of one call: which rows show each, how it is read and decoded."""

from __future__ import annotations

import time
from collections.abc import Hashable
from concurrent.futures import Future

import numpy as np
import pyarrow as pa

from ..passes.arrow import Column, one_array
from ..passes.clock import Spent
from . import decoding, sources
from .uris import Unreadable

Ahead = Future["pa.Buffer | bytes"]
"""An image's encoded bytes being read before a thread is free to decode it."""


class Images:
    """The distinct images of one call, in the order in which they first occur."""

    def __init__(self, images: Column, folder: str) -> None:
        encoded = one_array(images).dictionary_encode()
        self.values: pa.Array = encoded.dictionary
        self.folder = folder
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        self.not_null = codes >= 0
        rows = np.flatnonzero(self.not_null)
        order = np.argsort(codes[rows], kind="stable")
        self._rows = rows[order]
        self._starts = np.searchsorted(codes[rows][order], np.arange(len(self.values) + 1))
        self.last = int(codes[rows[-1]]) if len(rows) else -1

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, image: int) -> np.ndarray:
        """Return the rows that show one image, ascending."""
        return self._rows[self._starts[image] : self._starts[image + 1]]

    def identity(self, image: int) -> Hashable:
        """Return what equal images share within a process."""
        return sources.identity(self.values[image], self.folder)

    def is_remote(self, image: int) -> bool:
        """Return whether one image waits for more than this machine's files."""
        value = self.values[image]
        return sources.is_text(value) and sources.local_path(value.as_py(), self.folder) is None

    def read(self, image: int) -> pa.Buffer | bytes:
        """Return the encoded bytes of one image; raises Unreadable."""
        return sources.read(self.values[image], self.folder)

    def fetch(
        self, image: int, spent: Spent, ahead: Ahead | None = None
    ) -> tuple[pa.Buffer | bytes | None, str | None]:
        """Read one image, or take what was read `ahead`.

        Returns:
            Its bytes and None; or None and the reason why there are none.
        """
        began = time.perf_counter()
        try:
            return (self.read(image) if ahead is None else ahead.result()), None
        except Unreadable as error:
            return None, str(error)
        finally:
            spent.read += time.perf_counter() - began


def decode(data: pa.Buffer | bytes, order: str, out: decoding.Pixels, spent: Spent) -> str | None:
    """Decode an image's bytes into `out`; return the reason where they are none."""
    began = time.perf_counter()
    try:
        return decoding.decode(data, order, out)
    finally:
        spent.decode += time.perf_counter() - began
