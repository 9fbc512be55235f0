"""Training rows → what stands for a missing number and which levels texts have, also by fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from vista_sql.train.chunks import Array, Chunk, Floats
from vista_sql.train.encoding import NO_SHIFT, Encoding, Levels, Shift
from vista_sql.train.hashing import fold_of
from vista_sql.train.passes import Rows

MOST_LEVELS = 100
"""Levels of a text column that get a column of their own: those of most training rows."""


def learn(
    rows: Rows,
    n_numbers: int,
    texts: Sequence[Sequence[str | None]],
    folds: int,
    *,
    fills: bool,
) -> tuple[Encoding, list[Shift]]:
    """Return what training rows, as they are stored, say of features, in one pass.

    Args:
        rows: those that train, sealed.
        n_numbers: how many columns of numbers they have.
        texts: of each text column what its codes stand for.
        folds: how many there are.
        fills: numbers may be missing.

    Returns:
        The encoding, and a shift per fold.
    """
    k = n_numbers
    counting = _Counting(k if fills else 0, k * (2 if fills else 1), [*map(len, texts)], folds)
    counted = rows.total(counting) if fills or texts else counting.start()
    fill = _mean(counted.total, counted.n) if fills else None
    found = zip(texts, counted.of_codes, strict=True)
    levels = tuple(_levels(of_codes, count.sum(axis=0)) for of_codes, count in found)
    encoding = Encoding(k, fill, levels)
    shifts = []
    for fold in range(folds):
        inside = [group for group in range(counting.groups) if group != fold]
        of_fold = _mean(counted.total[inside], counted.n[inside]) if fills else None
        codes = [count[inside].sum(axis=0) for count in counted.of_codes]
        shifts.append(_shift(encoding, of_fold, codes))
    return encoding, shifts


class _Counts(Struct):
    """Of each fold: the sums of numbers that are there, how many they are, and rows per code."""

    total: Floats  # (folds, numbers)
    n: Floats  # (folds, numbers)
    of_codes: list[Array]  # of each text column (folds, codes) int64


class _Counting(Struct, frozen=True):
    """A pass that counts, over stored rows."""

    n_filled: int  # the columns of numbers, where they are filled in
    n_dense: int  # columns before the texts
    n_codes: Sequence[int]  # of each text column
    folds: int

    @property
    def groups(self) -> int:
        return max(1, self.folds)

    def start(self) -> _Counts:
        total, n = np.zeros((2, self.groups, self.n_filled))
        return _Counts(total, n, [np.zeros((self.groups, k), np.int64) for k in self.n_codes])

    def add(self, total: _Counts, chunk: Chunk) -> None:
        fold = fold_of(chunk.unit, self.folds)
        for group in range(self.groups):
            part = chunk.structured[fold == group]
            numbers = part[:, : self.n_filled]
            total.total[group] += np.nansum(numbers, axis=0)
            total.n[group] += (~np.isnan(numbers)).sum(axis=0)
            for i, count in enumerate(total.of_codes, self.n_dense):
                count[group] += np.bincount(part[:, i].astype(np.int64), minlength=count.shape[1])

    def join(self, total: _Counts, other: _Counts) -> _Counts:
        total.total += other.total
        total.n += other.n
        for mine, theirs in zip(total.of_codes, other.of_codes, strict=True):
            mine += theirs
        return total


def _mean(total: Floats, n: Floats) -> Floats:
    return np.asarray(total.sum(axis=0) / np.maximum(n.sum(axis=0), 1.0))


def _levels(texts: Sequence[str | None], counts: Array) -> Levels:
    """Return a column's levels: of codes that stand for `texts`, and how many rows have each."""

    def by_name(code: int) -> tuple[bool, str]:
        return texts[code] is None, texts[code] or ""

    there = sorted(np.flatnonzero(counts).tolist(), key=by_name)
    most = sorted(there, key=lambda code: -int(counts[code]))[:MOST_LEVELS]  # keeps ties in order
    kept = sorted(most, key=by_name)
    place = np.full(len(texts), len(kept), np.int64)
    place[kept] = np.arange(len(kept))
    return Levels(tuple(texts[code] for code in kept), len(there) - len(kept), place)


def _shift(encoding: Encoding, fill: Floats | None, counts: Sequence[Array]) -> Shift:
    """Return a fold's shift, from its own means (numbers,), and its rows per code of each text."""
    parts: list[tuple[Array, Array, Floats]] = []
    if encoding.fill is not None and fill is not None:
        target = np.flatnonzero(fill != encoding.fill)
        parts.append((target + encoding.n_numbers, target, (fill - encoding.fill)[target]))
    for start, levels, count in zip(encoding.starts, encoding.levels, counts, strict=True):
        n_rows = np.bincount(levels.place, count, minlength=levels.width)[:-1]
        absent = start + np.flatnonzero(n_rows == 0)
        others = np.full(len(absent), start + levels.width - 1)
        parts.append((absent, others, np.ones(len(absent))))
    if not parts:
        return NO_SHIFT
    source, target, amount = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Shift(source, target, amount)
