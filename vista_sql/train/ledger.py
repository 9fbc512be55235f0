"""Hash, place, class and image of every row, 32 bytes each → the split, and what to say about it.

By its hash alone a row tests with probability `test_fraction`; of a class of 10 rows none may test.
So in a class of fewer than SMALL_CLASS rows the place of a row is its rank among the class's
hashes: the share of test rows is then exact, at least one row trains and one tests, and it still
depends on which rows there are only, not on how they come. Rows with equal keys keep together. With
`split_by` the groups decide, and classes fall as they fall.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct, field

from vista_sql.train.chunks import Array, Chunk
from vista_sql.train.hashing import fold_of

SMALL_CLASS = 100  # of its 20 test rows by hash, 12 to 28 would not be strange


class Ledger(Struct):
    """Hash (uint64), place in [0, 1), class and image hash of every row of a training."""

    folds: int
    test_fraction: float
    _pieces: list[tuple[Array, Array, Array, Array]] = field(default_factory=list)

    def add(self, chunk: Chunk, images: Array | None) -> None:
        """Add rows; `images` (rows,) uint64 are hashes of their layers, None if they have none."""
        hashes = np.zeros(0, np.uint64) if images is None else images
        self._pieces.append((chunk.hash.copy(), chunk.unit.copy(), chunk.code.copy(), hashes))

    def side(self, unit: Array) -> Array:
        """Return each row's fold (rows,) int64; without folds 1 where it tests, 0 where not."""
        if self.folds:
            return fold_of(unit, self.folds)
        return np.asarray((unit < self.test_fraction).astype(np.int64))

    def split(self, chunk: Chunk) -> list[tuple[int, Chunk]]:
        """Return copies of the rows of each side of the split: 0 trains, 1 tests."""
        if self.folds or not self.test_fraction:
            return [(0, chunk.take(slice(None)))]
        side = self.side(chunk.unit)
        numbers = ((of, np.flatnonzero(side == of)) for of in (0, 1))
        return [(of, chunk.take(rows)) for of, rows in numbers if len(rows)]

    def stratify(self) -> dict[int, float]:
        """Give rows of small classes their places, and return hash → place of those that move."""
        if not self._pieces or not (self.folds or self.test_fraction):
            return {}
        hashes, unit, code, images = self._whole()
        small = np.flatnonzero(np.bincount(code)[code] < SMALL_CLASS)
        places = unit.copy()
        if len(small):  # a key of two classes stays where it is
            small = small[~np.isin(unit[small], _of_several(unit, code))]
        for class_ in np.unique(code[small]).tolist():
            members = small[code[small] == class_]
            distinct, rank = np.unique(unit[members], return_inverse=True)
            if len(distinct) > 1:
                places[members] = self._places(len(distinct))[rank]
        moved = self.side(places) != self.side(unit)
        places = np.where(moved, places, unit)
        self._pieces = [(hashes, places, code, images)]
        return dict(zip(hashes[moved].tolist(), places[moved].tolist(), strict=True))

    def _places(self, n: int) -> Array:
        """Return places (n,) float64 for ranks 0 … n - 1, of which just the share tests."""
        rank = np.arange(n)
        if self.folds:
            return np.asarray((rank + 0.5) / n)
        tests = min(max(round(self.test_fraction * n), 1), n - 1)
        f = self.test_fraction
        before = f * (rank + 0.5) / tests
        return np.where(rank < tests, before, f + (1 - f) * (rank - tests + 0.5) / (n - tests))

    def counts(self) -> dict[tuple[int, int], int]:
        """Return how many rows each (side or fold, class) has."""
        _, unit, code, _ = self._whole()
        pairs = np.stack([self.side(unit), code])
        distinct, n_rows = np.unique(pairs, axis=1, return_counts=True)
        return {(int(s), int(c)): int(n) for s, c, n in zip(*distinct, n_rows, strict=True)}

    def shared(self) -> tuple[int, int]:
        """Return how many images stand on several sides, and how many test rows show one."""
        _, unit, _, images = self._whole()
        if not len(images):
            return 0, 0
        side = self.side(unit)
        distinct, image = np.unique(images, return_inverse=True)
        least, most = np.full(len(distinct), np.iinfo(np.int64).max), np.full(len(distinct), -1)
        np.minimum.at(least, image, side)
        np.maximum.at(most, image, side)
        several = least < most
        tests = np.ones(len(side), bool) if self.folds else side == 1
        return int(several.sum()), int((several[image] & tests).sum())

    def _whole(self) -> tuple[Array, Array, Array, Array]:
        if len(self._pieces) != 1:
            parts = [np.concatenate(part) for part in zip(*self._pieces, strict=True)]
            self._pieces = [(parts[0], parts[1], parts[2], parts[3])]
        return self._pieces[0]


def _of_several(unit: Array, code: Array) -> Array:
    """Return the places that rows of several classes have, from (rows,) places and classes."""
    order = np.lexsort((code, unit))
    unit, code = unit[order], code[order]
    differ = (unit[1:] == unit[:-1]) & (code[1:] != code[:-1])
    return np.asarray(unit[1:][differ])
