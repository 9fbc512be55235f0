"""Means and scales of columns over the rows that a model trains on, per fold, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from vista_sql.train.chunks import Array, Chunk, ColumnMoments, Floats, FloatType
from vista_sql.train.encoding import CONSTANT
from vista_sql.train.hashing import fold_of
from vista_sql.train.learn import learn
from vista_sql.train.passes import Rows

SMALL_VALUES = 1 << 21  # 16 MiB of float64
FEW_SUMS = 4  # products with a vector, which cost less than the pass that sums by class save
FAR = 100  # times its variance is the mean square of a column far from zero: its mean 10 of its σ


def rescale(
    train_rows: Rows,
    *others: Rows,
    texts: Sequence[Sequence[str | None]] = (),
    folds: int = 0,
    fills: bool = False,
) -> None:
    """Make features of the structured columns of all, and scale them, by the first's, sealed rows.

    A small training is computed in float64: it costs nothing there, and coefficients that the data
    barely tells apart come out alike wherever they are computed.

    Args:
        train_rows: those that train.
        others: those that test.
        texts: of each text column what its codes stand for.
        folds: how many there are.
        fills: put the mean over the training rows where a number is NaN.
    """
    n_numbers = (train_rows.layout.n_structured - len(texts)) // (2 if fills else 1)
    encoding, shifts = learn(train_rows, n_numbers, texts, folds, fills=fills)
    for rows in (train_rows, *others):
        rows.encode(encoding, shifts)
    layout = train_rows.layout
    n_values = train_rows.n_rows * layout.width
    dtype: FloatType = np.dtype(np.float32)
    if n_values <= SMALL_VALUES:
        dtype = np.dtype(np.float64)
    moments = ColumnMoments(np.zeros(layout.n_structured), np.zeros(layout.n_structured))
    if layout.n_structured and train_rows.n_rows:
        ((moments,),) = _moments(train_rows, 0, (0,), 1).by_block
    for rows in (train_rows, *others):
        rows.rescale(moments, dtype)


class BlockMoments(NamedTuple):
    """What one pass tells of the rows. Blocks are those of `Chunk.blocks`."""

    by_fold: list[list[ColumnMoments]]
    """[fold][block]: over the rows outside a fold, of the features that these rows give (see
    `train.encoding`); the last are over all rows."""
    counts: Floats
    """(folds, classes): rows."""
    sums: list[Floats] | None
    """[block] (folds, classes, values): of the features of chunks; None: there are many classes."""


def block_moments(rows: Rows, folds: int, n_classes: int) -> BlockMoments:
    """Return moments, counts and sums of all blocks, from one pass."""
    blocks = range(len(rows.layout.block_widths))
    found = _moments(rows, folds, blocks, n_classes)
    by_fold = [list(of_fold) for of_fold in zip(*found.by_block, strict=True)]
    for fold in range(folds):
        by_fold[fold][0] = rows.shift(fold).moments(by_fold[fold][0])
    return BlockMoments(by_fold, found.counts, found.sums)


def class_counts(rows: Rows, folds: int, n_classes: int) -> Floats:
    """Return how many rows of each fold and class there are (folds, classes), from one pass."""
    return _sums(rows, folds, (), n_classes).counts


class _MomentSums(Struct):
    """Σ (x - pivot) and Σ (x - pivot)² per fold and part, and rows per fold and class."""

    first: list[Floats]  # of each part (folds · classes, columns), or (folds, columns)
    second: list[Floats]  # of each part (folds, columns)
    counts: Floats  # (folds, classes)


class _Part(Struct, frozen=True):
    """Columns of a block, and what is taken from their values before they are summed."""

    block: int
    columns: slice | Array
    pivot: Array | None  # (columns,) in the dtype of the values; None: nothing is taken


class _Found(NamedTuple):
    by_block: list[list[ColumnMoments]]  # [block][fold], the last over all rows
    counts: Floats  # (folds, classes)
    sums: list[Floats] | None  # as in BlockMoments


def _moments(rows: Rows, folds: int, blocks: Sequence[int], n_classes: int) -> _Found:
    """Return moments, counts and sums of some blocks."""
    # sums are of differences to one row, so that nothing cancels in columns far from zero; but
    # taking it takes longer than all else: values of a layer, and columns that are rescaled, are
    # summed as they are, and again without it where they turn out to be far from zero
    is_near = not folds and rows.dtype == np.float32
    is_plain = [is_near and (block > 0 or rows.rescaled) for block in blocks]
    first_row = {} if all(is_plain) else _first_row(rows, blocks)
    parts = [
        _Part(block, slice(None), None if plain else first_row[block])
        for block, plain in zip(blocks, is_plain, strict=True)
    ]
    sums = _sums(rows, folds, parts, n_classes)
    pivots = [
        np.zeros(second.shape[1]) if part.pivot is None else part.pivot.astype(float)
        for part, second in zip(parts, sums.second, strict=True)
    ]
    far = {
        i: columns
        for i, plain in enumerate(is_plain)
        if plain and len(columns := _far_from_zero(sums.first[i], sums.second[i], sums.counts))
    }
    if far:
        first_row = first_row or _first_row(rows, blocks)
        again = [_Part(blocks[i], at, first_row[blocks[i]][at]) for i, at in far.items()]
        exact = _sums(rows, folds, again, n_classes)
        for part, i, first, second in zip(again, far, exact.first, exact.second, strict=True):
            pivots[i][far[i]] = part.pivot
            sums.first[i][:, far[i]], sums.second[i][:, far[i]] = first, second
    n_rows, n_groups = sums.counts.sum(axis=1), len(sums.counts)
    is_by_class = _is_by_class(n_groups, n_classes)
    moments, by_class = [], []
    for pivot, by_sum, second in zip(pivots, sums.first, sums.second, strict=True):
        shape = n_groups, len(by_sum) // n_groups, len(pivot)  # folds, classes or 1, columns
        grouped = by_sum.reshape(shape)
        first = grouped.sum(axis=1)
        if is_by_class:  # else as many classes would be as many copies
            by_class.append(grouped + sums.counts[:, :, None] * pivot)
        whole = second.sum(axis=0) / n_rows.sum()
        of_block = []
        for fold in (*range(folds), None):
            other_folds = [i for i in range(len(n_rows)) if i != fold]
            n = max(n_rows[other_folds].sum(), 1.0)
            offset = first[other_folds].sum(axis=0) / n
            square = second[other_folds].sum(axis=0) / n
            variance = square - offset * offset
            constant = variance <= CONSTANT * np.maximum(square, whole)
            scale = np.sqrt(np.where(constant, 0.0, np.maximum(variance, 0.0)))
            of_block.append(ColumnMoments(pivot + offset, scale))
        moments.append(of_block)
    return _Found(moments, sums.counts, by_class if is_by_class else None)


def _is_by_class(n_groups: int, n_classes: int) -> bool:
    return n_groups * n_classes <= FEW_SUMS


def _far_from_zero(first: Floats, second: Floats, counts: Floats) -> Array:
    """Return the columns whose mean is so large, next to their spread, that squares cancel."""
    n = max(counts.sum(), 1.0)
    mean, square = first.sum(axis=0) / n, second.sum(axis=0) / n
    with np.errstate(over="ignore", invalid="ignore"):  # squares of huge values are far, too
        return np.flatnonzero(~(square <= FAR * (square - mean * mean)))


def _sums(rows: Rows, folds: int, parts: Sequence[_Part], n_classes: int) -> _MomentSums:
    """Return the sums of some columns, from one pass."""
    widths = [len(np.empty(rows.layout.block_widths[p.block])[p.columns]) for p in parts]
    return rows.total(_Sums(folds, parts, widths, n_classes))


class _Sums(Struct, frozen=True):
    """A pass that sums what moments are made of."""

    folds: int
    parts: Sequence[_Part]
    widths: Sequence[int]  # of the parts
    n_classes: int

    @property
    def groups(self) -> int:
        return max(1, self.folds)

    @property
    def n_sums(self) -> int:
        by_class = _is_by_class(self.groups, self.n_classes)
        return self.groups * self.n_classes if by_class else self.groups

    def start(self) -> _MomentSums:
        first = [np.zeros((self.n_sums, width)) for width in self.widths]
        second = [np.zeros((self.groups, width)) for width in self.widths]
        return _MomentSums(first, second, np.zeros((self.groups, self.n_classes)))

    def add(self, total: _MomentSums, chunk: Chunk) -> None:
        fold = fold_of(chunk.unit, self.folds)
        code = np.minimum(chunk.code, self.n_classes - 1)
        np.add.at(total.counts, (fold, code), 1.0)
        in_fold = fold == np.arange(self.groups)[:, None]
        in_sum = in_fold
        if self.n_sums > self.groups:
            in_sum = fold * self.n_classes + code == np.arange(self.n_sums)[:, None]
        for i, part in enumerate(self.parts):
            values = chunk.blocks[part.block][:, part.columns]
            if part.pivot is None:
                total.first[i] += _summed(in_sum, values)
                total.second[i] += np.einsum("ij,ij->j", values, values)
                continue
            shifted = values - part.pivot
            total.first[i] += _summed(in_sum, shifted)
            np.square(shifted, out=shifted)
            total.second[i] += _summed(in_fold, shifted)

    def join(self, total: _MomentSums, other: _MomentSums) -> _MomentSums:
        mine, theirs = total.first + total.second, other.first + other.second
        for one, another in zip(mine, theirs, strict=True):
            one += another
        total.counts += other.counts
        return total


def _summed(member: Array, values: Array) -> Array:
    """Return the sums (groups, columns) of the rows that are members (groups, rows) of each."""
    indicator = member.astype(values.dtype)
    if len(indicator) <= FEW_SUMS:  # to multiply matrices, BLAS would copy the values first
        return np.stack([one @ values for one in indicator])
    return np.asarray(indicator @ values)


def _first_row(rows: Rows, blocks: Sequence[int]) -> dict[int, Array]:
    """Return the values (columns,) of some blocks in a row, any one's; reads all rows."""
    values: list[Array] = rows.total(_OneRow(blocks))
    return dict(zip(blocks, values, strict=True))


class _OneRow(Struct, frozen=True):
    """A pass for the values of some blocks in a row, any one's."""

    blocks: Sequence[int]

    def start(self) -> list[Array]:
        return []

    def add(self, total: list[Array], chunk: Chunk) -> None:
        if len(chunk) and not total:
            total += [chunk.blocks[block][0].copy() for block in self.blocks]

    def join(self, total: list[Array], other: list[Array]) -> list[Array]:
        return total or other
