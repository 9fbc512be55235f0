"""Means and scales of columns over the rows that a model trains on, per fold, in one pass."""

from __future__ import annotations

import numpy as np

from vista_sql.train.lanes import accumulate
from vista_sql.train.training_rows import Array, Floats, Moments, Rows, Store

SMALL_VALUES = 1 << 21  # 16 MiB of float64
CONSTANT = 1e-12  # a variance below this share of the column's second moment is rounding


def fold_of(unit: Array, folds: int) -> Array:
    """Return each row's fold, from its place in [0, 1)."""
    return np.minimum((unit * max(1, folds)).astype(np.int64), max(1, folds) - 1)


def rescale(train: Store, *others: Store) -> None:
    """Scale the structured columns of stores by their moments over all rows of the first.

    A small training is computed in float64: it costs nothing there, and coefficients that the data
    barely tells apart come out alike wherever they are computed.
    """
    width = train.layout.n_structured
    n_values = train.n_rows * (width + sum(train.layout.layer_sizes))
    dtype = np.float64 if n_values <= SMALL_VALUES else np.float32
    moments = Moments(np.zeros(width), np.zeros(width))
    if width and train.n_rows:
        ((moments,),) = _moments(train, 0, (-1,), 1)[0]
    for store in (train, *others):
        store.rescale(moments, dtype)


def block_moments(store: Store, folds: int, n_classes: int) -> tuple[list[list[Moments]], Floats]:
    """Return [fold][block] moments and (folds, classes) counts of rows, from one pass.

    Moments are over the rows outside the fold; the last are over all rows. Block 0 is the
    structured columns, block i + 1 is layer i.
    """
    blocks = range(-1, len(store.layout.layer_sizes))
    found, counts = _moments(store, folds, blocks, n_classes)
    return [list(of_fold) for of_fold in zip(*found, strict=True)], counts


class _Sums:
    """Σ (x - pivot) and Σ (x - pivot)² per fold and block, and rows per fold and class."""

    def __init__(self, groups: int, widths: list[int], n_classes: int) -> None:
        self.first = [np.zeros((groups, width)) for width in widths]
        self.second = [np.zeros((groups, width)) for width in widths]
        self.counts = np.zeros((groups, n_classes))

    def __iadd__(self, other: _Sums) -> _Sums:
        for mine, theirs in zip(self.first + self.second, other.first + other.second, strict=True):
            mine += theirs
        self.counts += other.counts
        return self


def _moments(
    store: Store, folds: int, blocks: range | tuple[int, ...], n_classes: int
) -> tuple[list[list[Moments]], Floats]:
    """Return [block][fold] moments and counts; the pivot is the first row: no cancellation."""
    groups = max(1, folds)
    pivots = next(
        [part[0].copy() for part in _parts(rows, blocks)] for rows in store.chunks() if len(rows)
    )

    def add(sums: _Sums, rows: Rows) -> None:
        fold = fold_of(rows.unit, folds)
        np.add.at(sums.counts, (fold, np.minimum(rows.code, n_classes - 1)), 1.0)
        member = fold == np.arange(groups)[:, None]
        for i, part in enumerate(_parts(rows, blocks)):
            indicator = member.astype(part.dtype)
            shifted = part - pivots[i]
            sums.first[i] += indicator @ shifted
            np.square(shifted, out=shifted)
            sums.second[i] += indicator @ shifted

    total, *others = accumulate(
        store, lambda: _Sums(groups, [len(pivot) for pivot in pivots], n_classes), add
    )
    for other in others:
        total += other
    n_rows = total.counts.sum(axis=1)
    result = []
    for pivot, first, second in zip(pivots, total.first, total.second, strict=True):
        whole = second.sum(axis=0) / n_rows.sum()
        of_block = []
        for fold in (*range(folds), None):
            others_of = [i for i in range(groups) if i != fold]
            n = max(n_rows[others_of].sum(), 1.0)
            offset = first[others_of].sum(axis=0) / n
            square = second[others_of].sum(axis=0) / n
            variance = square - offset * offset
            constant = variance <= CONSTANT * np.maximum(square, whole)
            scale = np.sqrt(np.where(constant, 0.0, np.maximum(variance, 0.0)))
            of_block.append(Moments(pivot + offset, scale))
        result.append(of_block)
    return result, total.counts


def _parts(rows: Rows, blocks: range | tuple[int, ...]) -> list[Array]:
    return [rows.structured if b < 0 else rows.layers[b] for b in blocks]
