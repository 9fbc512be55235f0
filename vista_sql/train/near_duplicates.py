"""Test rows that show nearly the same image as a training row: their figures flatter a model.

A sample of the test rows is compared with all rows that train, by the cosine of one layer, whose
values are summed with signs into few (Charikar, Chen & Farach-Colton, "Finding Frequent Items in
Data Streams", ICALP 2002, section 3): squared distances stay as they are to about √(2 / SKETCHED),
an eighth. What is near depends on the layer: there two images are usually so far apart as the
median of some pairs, and near is a hundredth of that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vista_sql.train.chunks import Array, Chunk
from vista_sql.train.hashing import fold_of
from vista_sql.train.passes import Rows

MOST_TESTED = 1000  # test rows; of many rows that train fewer, but LEAST_TESTED
LEAST_TESTED = 100
MOST_COMPARED = 1 << 22  # pairs of rows: a few hundredths of what training takes
LEAST_VALUES = 16
"""Of a layer that can tell: of n rows spread over d dimensions n × 0.1 ** d are near to one by
chance (near is a tenth of the usual distance), which is few where d is 6 and more."""
SKETCHED = 128  # values that those of a row become
NEAR = 0.01  # of the median distance
PAIRS = 200  # so many test rows with so many others say what is usual
EQUAL = 1e-6  # so near are rows of equal layers, which `Ledger.shared` counts


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """How many of some test rows are near to a row that trains."""

    layer: int  # its place in `Columns.layers`
    tested: int
    near: int


def near_duplicates(
    train: Rows, test: Rows, folds: int, sizes: tuple[int, ...]
) -> NearDuplicates | None:
    """Count them; None where there is no layer of enough values, or nothing to compare.

    Args:
        train: sealed; with folds all rows, and each is tested against those of other folds.
        test: sealed.
        folds: how many; 0: none.
        sizes: values of each layer; the narrowest that can tell is compared.
    """
    wide = [layer for layer, size in enumerate(sizes) if size >= LEAST_VALUES]
    if not wide:
        return None
    layer = min(wide, key=sizes.__getitem__)
    most = min(MOST_TESTED, max(LEAST_TESTED, MOST_COMPARED // max(1, train.n_rows)))
    some = (train if folds else test).first(most, [layer])
    if not len(some) or not train.n_rows:
        return None
    search = _Nearest(layer, _directions(some.layers[0]), fold_of(some.unit, folds), folds)
    nearest = 1 - train.total(search)
    others = train.first(PAIRS, [layer])
    usual = 1 - np.median(search.cosines(others.layers[0], others.unit)[:, :PAIRS])
    near = (nearest <= NEAR * usual) & (nearest > EQUAL)
    return NearDuplicates(layer, len(some), int(near.sum()))


@dataclass(frozen=True, slots=True)
class _Nearest:
    """A pass for the greatest cosine of each of some rows with any that may train."""

    layer: int
    tested: Array  # directions (rows, values)
    fold: Array  # (rows,) of those: none is compared with a row of its own
    folds: int

    def cosines(self, x: Array, unit: Array) -> Array:
        """Return cosines (others, rows) of other rows' values (others, values)."""
        found = np.asarray(_directions(x) @ self.tested.T)
        if self.folds:
            found[fold_of(unit, self.folds)[:, None] == self.fold[None, :]] = -1
        return found

    def start(self) -> Array:
        return np.full(len(self.tested), -1, np.float32)

    def add(self, total: Array, chunk: Chunk) -> None:
        found = self.cosines(chunk.layers[self.layer], chunk.unit)
        np.maximum(total, found.max(axis=0), out=total)

    def join(self, total: Array, other: Array) -> Array:
        return np.maximum(total, other, out=total)


def _directions(x: Array) -> Array:
    """Return a layer's rows, sketched, at length 1 (rows, values) float32; zero stays zero."""
    x = x.astype(np.float32, copy=False)
    if x.shape[1] > SKETCHED:
        size = x.shape[1] // SKETCHED
        end = SKETCHED * size
        signs = np.where(np.random.default_rng(0).random((SKETCHED, size)) < 0.5, -1, 1)
        whole = x[:, :end].reshape(-1, SKETCHED, size)
        sketch = np.einsum("nbk,bk->nb", whole, signs.astype(np.float32))
        sketch[:, : x.shape[1] - end] += x[:, end:]
        x = sketch
    wide = x.astype(np.float64)  # squares of large values stay finite
    length = np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
    return np.asarray((wide / np.where(length > 0, length, 1)).astype(np.float32))
