"""Test rows that show nearly the same image as a training row: their figures flatter a model.

A sample of the test rows is compared with all rows that train, by the cosine of one layer, whose
values are summed with signs into few (Charikar, Chen & Farach-Colton, "Finding Frequent Items in
Data Streams", ICALP 2002, section 3): squared distances stay as they are to about √(2 / SKETCHED),
an eighth. What is near depends on the layer: there two images are usually so far apart as the
median of some pairs, and near is a hundredth of that. Hardly any pair is: all are compared by a
sketch of the sketch, and only those that can be near by the whole.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from msgspec import Struct

from vista_sql.nearest.blas import one_thread
from vista_sql.train.chunks import Array, Chunk
from vista_sql.train.hashing import fold_of
from vista_sql.train.passes import Rows

MOST_TESTED = 1000  # test rows; of many rows that train fewer, but LEAST_TESTED
LEAST_TESTED = 100
MOST_COMPARED = 1 << 20  # pairs of rows: a few hundredths of what training takes
LEAST_VALUES = 16
"""Of a layer that can tell: of n rows spread over d dimensions n × 0.1 ** d are near to one by
chance (near is a tenth of the usual distance), which is few where d is 6 and more."""
SKETCHED = 128  # values that those of a row become
ROUGH = 16  # and those of the sketch of that
SLACK = 3.0
"""A near pair's squared distance by ROUGH values is more than so many times its own in 5 of 100,000
cases (χ² of 16 degrees of freedom above 48)."""
LONGEST = 1e37  # factor that is a float32
ROUNDING = 1e-6  # of sums of ROUGH float32 products of directions
NEAR = 0.01  # of the median distance
PAIRS = 200  # so many test rows with so many others say what is usual
EQUAL = 1e-6  # so near are rows of equal layers, which `Ledger.shared` counts


class NearDuplicates(Struct, frozen=True):
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
    tested, fold = _directions(some.layers[0]), fold_of(some.unit, folds)
    others = train.first(PAIRS, [layer])
    of_others = fold_of(others.unit, folds)
    bound = NEAR * _usual(_directions(others.layers[0]), of_others, tested, fold, folds)
    nearest = 1 - train.total(_Nearest(layer, tested, fold, folds, bound))
    near = (nearest <= bound) & (nearest > EQUAL)
    return NearDuplicates(layer, len(tested), int(near.sum()))


class _Nearest(Struct, frozen=True):
    """A pass for the greatest cosine of each of some rows with those that train, if one is near."""

    layer: int
    tested: Array  # directions (rows, values)
    fold: Array  # (rows,) of those: none is compared with a row of its own
    folds: int
    bound: float  # distances above it are not near

    def start(self) -> Array:
        return np.full(len(self.tested), -1, np.float32)

    def add(self, total: Array, chunk: Chunk) -> None:
        rows = _directions(chunk.layers[self.layer])
        rough, coarse = _rough(self.tested), _rough(rows)
        others = np.concatenate([rough.T, np.ones((1, len(rough)), np.float32), _half(rough).T])
        ones = np.ones((len(rows), 1), np.float32)
        # p·q - ½‖p‖² - ½‖q‖² is -½‖p - q‖²
        apart = np.concatenate([coarse, _half(coarse), ones], axis=1) @ others
        least = -SLACK * self.bound - ROUNDING
        if apart.max() < least:
            return
        row, column = np.nonzero(~(apart < least))
        if self.folds:
            other = fold_of(chunk.unit, self.folds)[row] != self.fold[column]
            row, column = row[other], column[other]
        for part in range(0, len(row), len(rows) * ROUGH):
            pairs = slice(part, part + len(rows) * ROUGH)
            cosine = np.einsum("ij,ij->i", rows[row[pairs]], self.tested[column[pairs]])
            np.maximum.at(total, column[pairs], cosine)

    def join(self, total: Array, other: Array) -> Array:
        return np.maximum(total, other, out=total)


def _usual(rows: Array, of_rows: Array, tested: Array, fold: Array, folds: int) -> float:
    """Return the median distance of some rows that train to some that test."""
    with one_thread():
        cosines = rows @ tested[:PAIRS].T
    if folds:
        cosines[of_rows[:, None] == fold[None, :PAIRS]] = -1
    return float(1 - np.median(cosines))


def _directions(x: Array) -> Array:
    """Return a layer's rows, sketched, at length 1 (rows, values) float32; zero stays zero."""
    x = x.astype(np.float32, copy=False)
    if x.shape[1] > SKETCHED:
        x = _sketch(x, SKETCHED)
    length = np.sqrt(np.einsum("ij,ij->i", x, x, dtype=np.float64))  # squares stay finite
    inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    return np.asarray(x * np.clip(inverse, 0, LONGEST)[:, None].astype(np.float32))


def _rough(directions: Array) -> Array:
    """Return directions (rows, values) as few values (rows, ROUGH), about so far apart."""
    return _sketch(directions, ROUGH) if directions.shape[1] > ROUGH else directions


def _half(x: Array) -> Array:
    """Return -½‖x‖² of rows (rows, 1) float32."""
    return np.asarray(-0.5 * np.einsum("ij,ij->i", x, x)[:, None], np.float32)


def _sketch(x: Array, n: int) -> Array:
    """Return rows (rows, values) as n sums (rows, n) of every n-th value, each with its sign."""
    size = x.shape[1] // n
    end = n * size
    sketch: Array = np.einsum("rkn,kn->rn", x[:, :end].reshape(-1, size, n), _signs(size, n))
    sketch[:, : x.shape[1] - end] += x[:, end:]
    return sketch


@cache
def _signs(size: int, n: int) -> Array:
    """Return 1 and -1 at random (size, n) float32, always the same."""
    return np.where(np.random.default_rng(0).random((size, n)) < 0.5, -1, 1).astype(np.float32)
