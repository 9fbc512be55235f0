"""Many float32 vectors of one length, in memory or spooled; equal ones are kept once."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from vista_sql.spool import Spool

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]

Metric = Literal["cosine", "l2"]


PIECE_VALUES = 1 << 16  # 512 KiB of float64: some vectors at a time, that stay in cache


def dots(x: Floats, y: Floats) -> Floats:
    """Return the products (rows,) of rows (rows, values), each summed in the same order."""
    return np.asarray(np.einsum("ij,ij->i", x, y))


class Vectors:
    """Distinct vectors, by their place; filled, sealed, then read. One thread at a time."""

    def __init__(self) -> None:
        self.dims = 0
        self._n = 0
        self._pieces: list[Array] = []
        self._whole = np.empty((0, 0), np.float32)
        self._spool: Spool | None = None
        self._places: dict[int, int] = {}
        self._squares: Floats | None = None

    def __len__(self) -> int:
        return self._n

    @property
    def memory_bytes(self) -> int:
        """What the vectors take in memory."""
        return 0 if self._spool is not None else 4 * self._n * self.dims

    def add(self, x: Array, hashes: Array | None = None) -> Array:
        """Add vectors, and return the place of each.

        Args:
            x: (rows, values) float32, finite; it is copied.
            hashes: (rows,) uint64, of 64 bits that tell any two vectors apart; None: all are kept,
                equal ones too.

        Returns:
            (rows,) int64.
        """
        self.dims = x.shape[1]
        places = np.arange(self._n, self._n + len(x))
        if hashes is not None:
            known, fresh = self._places, self._n
            places = np.empty(len(x), np.int64)
            chosen = []
            for i, one in enumerate(hashes.tolist()):
                place = known.setdefault(one, fresh)
                if place == fresh:
                    chosen.append(i)
                    fresh += 1
                places[i] = place
            x = x[chosen]
        if len(x):
            self._n += len(x)
            piece = np.ascontiguousarray(x, np.float32) + np.float32(0)  # a copy; -0.0 is 0.0
            if self._spool is None:
                self._pieces.append(piece)
            else:
                self._spool.write(piece)
        return places

    def spool(self) -> None:
        """Move the vectors out of memory, and all that follow."""
        if self._spool is None:
            self._spool = Spool()
            for piece in self._pieces:
                self._spool.write(piece)
            self._pieces.clear()

    def seal(self) -> None:
        """End filling."""
        self._places.clear()
        if self._spool is None:
            self._whole = np.empty((self._n, self.dims), np.float32)
            end = self._n
            while self._pieces:  # from the end, so that each piece is freed when it is placed
                piece = self._pieces.pop()
                self._whole[end - len(piece) : end] = piece
                end -= len(piece)

    def block(self, start: int, stop: int) -> Array:
        """Return the vectors at places from `start` to before `stop`: (rows, values) float32."""
        if self._spool is None:
            return self._whole[start:stop]
        block = np.empty((stop - start, self.dims), np.float32)
        self._spool.read(block.view(np.uint8).reshape(-1), 4 * self.dims * start)
        return block

    @property
    def squares(self) -> Floats:
        """Each vector's product with itself, as `dots` has it: (vectors,) float64."""
        if self._squares is None:
            squares = np.empty(len(self))
            step = max(1, PIECE_VALUES // max(1, self.dims))
            for start in range(0, len(self), step):
                x = self.block(start, min(start + step, len(self))).astype(np.float64)
                squares[start : start + len(x)] = dots(x, x)
            self._squares = squares
        return self._squares

    def take(self, places: Array) -> Array:
        """Return copies of the vectors at some places: (rows, values) float32."""
        if self._spool is None:
            return self._whole[places]
        distinct, which = np.unique(places, return_inverse=True)
        found = np.empty((len(distinct), self.dims), np.float32)
        starts = np.flatnonzero(np.diff(distinct, prepend=-2) != 1)  # of runs of neighbours
        for first, end in zip(starts, [*starts[1:], len(distinct)], strict=True):
            self._spool.read(
                found[first:end].view(np.uint8).reshape(-1), 4 * self.dims * int(distinct[first])
            )
        return found[which]

    def close(self) -> None:
        """Free memory and disk."""
        self._pieces.clear()
        self._whole = np.empty((0, 0), np.float32)
        if self._spool is not None:
            self._spool.close()
