"""Means and scales of columns over the rows that a model trains on, per fold, in one pass."""

from __future__ import annotations

import numpy as np

from vista_sql.train._store import Array, Floats, Moments, Store

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
        ((moments,),) = _moments(train, 0, (-1,))
    for store in (train, *others):
        store.rescale(moments, dtype)


def block_moments(store: Store, folds: int) -> list[list[Moments]]:
    """Return [fold][block]: moments over the rows outside the fold; the last are over all rows.

    Block 0 is the structured columns, block i + 1 is layer i.
    """
    n_blocks = len(store.layout.layer_sizes)
    result = _moments(store, folds, range(-1, n_blocks))
    return [list(blocks) for blocks in zip(*result, strict=True)]


def _moments(store: Store, folds: int, blocks: range | tuple[int, ...]) -> list[list[Moments]]:
    """Sum x - pivot and its square per fold, the pivot being the first row: no cancellation."""
    groups = max(1, folds)
    counts = np.zeros(groups)
    pivots: list[Array] = []
    sums: list[Floats] = []
    squares: list[Floats] = []
    for rows in store.chunks():
        parts = [rows.structured if b < 0 else rows.layers[b] for b in blocks]
        if not pivots:
            pivots = [part[0].copy() for part in parts]
            sums = [np.zeros((groups, part.shape[1])) for part in parts]
            squares = [np.zeros((groups, part.shape[1])) for part in parts]
        member = fold_of(rows.unit, folds) == np.arange(groups)[:, None]
        counts += member.sum(axis=1)
        for i, part in enumerate(parts):
            indicator = member.astype(part.dtype)
            shifted = part - pivots[i]
            sums[i] += indicator @ shifted
            np.square(shifted, out=shifted)
            squares[i] += indicator @ shifted
    result = []
    for pivot, total, square in zip(pivots, sums, squares, strict=True):
        per_fold = []
        for fold in (*range(folds), None):
            n = counts.sum() - (0 if fold is None else counts[fold])
            s = total.sum(axis=0) - (0 if fold is None else total[fold])
            q = square.sum(axis=0) - (0 if fold is None else square[fold])
            offset = s / max(n, 1.0)
            second = q / max(n, 1.0)
            variance = second - offset * offset
            constant = variance <= CONSTANT * np.maximum(second, square.sum(axis=0) / counts.sum())
            per_fold.append(
                Moments(pivot + offset, np.sqrt(np.where(constant, 0.0, np.maximum(variance, 0.0))))
            )
        result.append(per_fold)
    return result
