"""How structured columns become features: numbers, where they were NULL, levels of text.

Stored are numbers, with `fills` as many columns that are 1 where a number is missing, and a code
per text column. Features are the numbers, missing ones filled in; the columns that say where; and
per text column a 0/1 column for each level (one-hot), then one for all others. NULL is a level.

What is learned, means and levels, comes from training rows only. A fold has fewer of them than the
whole: what its model would have been given instead is linear in the columns that are there, and a
`Shift` says how, so that all folds learn from the same stream.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from vista_sql.train.chunks import Array, ColumnMoments, Floats, FloatType

CONSTANT = 1e-12  # a variance below this share of what it was computed from is rounding


class Levels(Struct, frozen=True):
    """The levels of one text column."""

    names: tuple[str | None, ...]  # with a column each: ascending, NULL (None) last
    n_others: int  # further levels among the training rows
    place: Array  # (codes,) int64: which column is 1 for a stored code; the last is of the others

    @property
    def width(self) -> int:
        """Columns: one per name, and one for all others."""
        return len(self.names) + 1


class Encoding(Struct, frozen=True):
    """What makes features of stored columns."""

    n_numbers: int
    fill: Floats | None  # (numbers,): what stands for NaN; None: there is none
    levels: tuple[Levels, ...]

    @property
    def n_dense(self) -> int:
        """Columns before the levels."""
        return self.n_numbers * (1 if self.fill is None else 2)

    @property
    def width(self) -> int:
        """Features."""
        return self.n_dense + sum(levels.width for levels in self.levels)

    @property
    def starts(self) -> tuple[int, ...]:
        """The first feature of each text column."""
        widths = [self.n_dense, *(levels.width for levels in self.levels)]
        return tuple(int(start) for start in np.cumsum(widths)[:-1])

    def place(self, stored: Floats) -> Floats:
        """Return stored columns (rows, stored), numbers filled in, codes now places in levels."""
        if self.fill is None and not self.levels:
            return stored
        placed = stored.copy()
        if self.fill is not None:
            numbers = placed[:, : self.n_numbers]
            row, column = np.nonzero(np.isnan(numbers))
            numbers[row, column] = self.fill[column]
        for i, levels in enumerate(self.levels, self.n_dense):
            placed[:, i] = levels.place[placed[:, i].astype(np.int64)]
        return placed

    def tables(self, moments: ColumnMoments | None, dtype: FloatType) -> tuple[Array, ...]:
        """Return per text column the features of each place (places, width), rescaled."""
        tables = []
        for start, levels in zip(self.starts, self.levels, strict=True):
            table: Array = np.eye(levels.width, dtype=np.float64)
            if moments is not None:
                table = moments.part(slice(start, start + levels.width)).apply(table, dtype)
            tables.append(table)
        return tuple(tables)

    def expand(self, placed: Array, tables: Sequence[Array]) -> Array:
        """Return features (rows, width) of what `place` returned, by what `tables` returned."""
        if not self.levels:
            return placed
        blocks = [placed[:, : self.n_dense]]
        for i, table in enumerate(tables, self.n_dense):
            blocks.append(table[placed[:, i].astype(np.int64)])
        return np.concatenate(blocks, axis=1)


class Shift(Struct, frozen=True):
    """How a fold's features differ from those of all training rows: f[target] += amount·f[source].

    A number's mean over the fold's training rows is another: the difference, times the column that
    says where it is missing, is added. A level that none of them has is one of the others there.
    No source occurs twice. Over the fold's training rows a target and its source are uncorrelated
    once shifted, or the source is constant.
    """

    source: Array  # (shifts,) int64
    target: Array  # (shifts,) int64
    amount: Floats  # (shifts,)

    def __len__(self) -> int:
        return len(self.source)

    def rescaled(self, moments: ColumnMoments) -> Shift:
        """Return the same for columns that are rescaled by moments (but for a constant)."""
        factor = moments.scale[self.source] * moments.factor[self.target]
        return Shift(self.source, self.target, self.amount * factor)

    def features(self, structured: Array) -> Array:
        """Return the fold's features, from those of all training rows (rows, width)."""
        if not len(self):
            return structured
        shifted = structured.copy()
        moved = structured[:, self.source] * self.amount.astype(structured.dtype)
        np.add.at(shifted.T, self.target, moved.T)
        return shifted

    def moments(self, moments: ColumnMoments) -> ColumnMoments:
        """Return moments of the fold's features, from those over the same rows as they are."""
        if not len(self):
            return moments
        mean, variance = moments.mean.copy(), np.square(moments.scale)
        np.add.at(mean, self.target, self.amount * mean[self.source])
        # of values that were the mean of all: var(x + am) = var(x) - a²·var(m), since their
        # distance to the fold's own mean is what a takes away
        np.subtract.at(variance, self.target, np.square(self.amount * moments.scale[self.source]))
        constant = variance <= CONSTANT * np.square(moments.scale)
        return ColumnMoments(mean, np.sqrt(np.where(constant, 0.0, variance)))

    def weights(self, coef: Floats) -> Floats:
        """Return weights (columns, features) for features as they are, from a fold's; in place."""
        coef[:, self.source] += self.amount * coef[:, self.target]
        return coef

    def gradient(self, product: Floats) -> Floats:
        """Return the derivative by a fold's weights, from that by weights (columns, features)."""
        if not len(self):
            return product
        shifted = product.copy()
        np.add.at(shifted.T, self.target, (self.amount * product[:, self.source]).T)
        return shifted


NO_SHIFT = Shift(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
"""Of a model of all training rows."""
