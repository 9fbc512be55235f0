"""What a trainer asks of rows: passes over them, wherever they are.

Rows are here (`TrainingRows`), or where a cluster keeps them (`RemoteRows`): then what a pass does
travels to them, and sums come back. So a pass is an object that can be pickled, not a closure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import numpy as np

from vista_sql.train.chunks import Array, Chunk, ColumnMoments, Floats, FloatType, Layout
from vista_sql.train.encoding import NO_SHIFT, Encoding, Shift

T = TypeVar("T")


class Summing(Protocol[T]):
    """What a pass sums over all rows, part by part; it can be pickled, and so can its sums."""

    def start(self) -> T:
        """Return an empty sum."""

    def add(self, total: T, chunk: Chunk) -> None:
        """Add rows to a sum, in place."""

    def join(self, total: T, other: T) -> T:
        """Return the sum of two, of which neither is used any more."""


class Rows(ABC):
    """The rows that train, or those that test: sealed, encoded, rescaled, then read repeatedly."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout  # as rows are stored; once encoded, of their features
        self._stored = layout
        self.n_rows = 0
        self._codes = np.arange(0)
        self._moments: ColumnMoments | None = None
        self._encoding: Encoding | None = None
        self._tables: tuple[Array, ...] = ()  # of the levels; see `Encoding.tables`
        self._shifts: tuple[Shift, ...] = ()  # of the folds
        self.dtype: FloatType = np.dtype(np.float32)  # of the features that passes see

    @abstractmethod
    def total(self, summing: Summing[T]) -> T:
        """Return what one pass sums over all rows."""

    @abstractmethod
    def mapped(self, function: Callable[[Chunk], T]) -> Iterator[tuple[Chunk, T]]:
        """Yield all rows with what a function says of each chunk, in any order.

        The chunks may lack their features: only hash, unit and code are theirs for certain.
        """

    @abstractmethod
    def first(self, n: int, layers: Sequence[int]) -> Chunk:
        """Return the n rows of the least hashes in their order, without structured columns.

        Args:
            n: how many; all rows, where there are fewer.
            layers: which layers the result has, in its order.
        """

    @abstractmethod
    def seal(self, codes: Array) -> None:
        """End filling.

        Args:
            codes: (classes,) int64: the class that each label code of the rows becomes.
        """

    @abstractmethod
    def select(self, features: Sequence[Array], memory_bytes: int) -> Rows:
        """Return these rows with some of the layers' features in place of all.

        Args:
            features: per layer of the result (features,) int64: places among the values of all
                layers here, side by side, ascending.
            memory_bytes: rows of which the result would take more do not come into memory.
        """

    @abstractmethod
    def close(self) -> None:
        """Free memory and disk."""

    @property
    def sealed(self) -> bool:
        """Whether filling has ended."""
        return len(self._codes) > 0

    @property
    def rescaled(self) -> bool:
        """Whether chunks have structured features rescaled."""
        return self._moments is not None

    @property
    def moments(self) -> ColumnMoments:
        """Of the structured features, in the user's units: what `rescale` scaled them by."""
        if self._moments is None:
            raise RuntimeError("the rows are not rescaled")
        return self._moments

    @property
    def encoding(self) -> Encoding:
        """What made features of the structured columns."""
        if self._encoding is None:
            raise RuntimeError("the rows are not encoded")
        return self._encoding

    def shift(self, fold: int | None) -> Shift:
        """Return how the structured features of a fold's model differ from what chunks have."""
        if fold is None or not self._shifts:
            return NO_SHIFT
        return self._shifts[fold].rescaled(self.moments)

    def encode(self, encoding: Encoding, shifts: Sequence[Shift] = ()) -> None:
        """Make chunks hand out features in place of structured columns; before `rescale`.

        Args:
            encoding: learned from the rows that train.
            shifts: of each fold; none where no column was filled in or is text.
        """
        self._encoding, self._shifts = encoding, tuple(shifts)
        self.layout = Layout(encoding.width, self._stored.layer_sizes)
        self._tables = encoding.tables(None, self.dtype)

    def rescale(self, moments: ColumnMoments, dtype: FloatType) -> None:
        """Make chunks hand out structured features as (x - mean) / scale, and all in `dtype`.

        The scaling is computed in float64, so that a column like a year keeps its digits.
        """
        self._moments, self.dtype = moments, dtype
        self._tables = self.encoding.tables(moments, dtype)

    def _scaled(self, placed: Floats) -> Array:
        """Return placed columns (rows, stored) rescaled, codes of levels as they are."""
        n = self.encoding.n_dense
        scaled = placed.astype(self.dtype)
        scaled[:, :n] = self.moments.part(slice(n)).apply(placed[:, :n], self.dtype)
        return scaled

    def _features(self, placed: Array) -> Array:
        """Return the features (rows, width) of placed columns; of rows not encoded, as stored."""
        if self._encoding is None:
            return placed
        return self._encoding.expand(placed, self._tables)

    def _structured(self, stored: Floats) -> Array:
        """Return the structured columns of stored rows as chunks hand them out."""
        if self._encoding is not None:
            stored = self._encoding.place(stored)
        return self._features(stored if self._moments is None else self._scaled(stored))

    def _columns(self, layers: Sequence[Array], places: Array) -> Array:
        """Return (rows, places) of the values of layers, each (rows, values), side by side."""
        starts = np.cumsum([0, *self._stored.layer_sizes])
        parts = [np.zeros((len(layers[0]), 0), layers[0].dtype)]
        for layer, start, end in zip(layers, starts[:-1], starts[1:], strict=True):
            parts.append(layer[:, places[(places >= start) & (places < end)] - start])
        return np.concatenate(parts, axis=1)
