"""One layer's features of labelled rows, as scores read them: streamed, in blocks, as one Gram."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from msgspec import Struct

from vista_sql.train.chunks import Array, Floats
from vista_sql.train.training_rows import TrainingRows


class Gram(Struct, frozen=True):
    """Inner products of features: all that scores of a linear model need.

    Of n rows and d features X (n, d) float64 with classes y. `products` are of features, X'X
    (d, d), where there are as many rows, else of rows, XX' (n, n); `sums` go with them: X'E
    (d, classes), else E (n, classes), E being 1 where a row is of a class.
    """

    n: int
    d: int
    counts: Floats  # (classes,): rows
    products: Floats
    sums: Floats
    of_features: bool

    def centered(self) -> Gram:
        """Return the same of features less their means."""
        if self.of_features:
            mean = self.sums.sum(axis=1) / self.n
            products = self.products - self.n * np.outer(mean, mean)
            return Gram(
                self.n, self.d, self.counts, products, self.sums - np.outer(mean, self.counts), True
            )
        means = self.products.mean(axis=0)
        products = self.products - means - means[:, None] + means.mean()
        return Gram(self.n, self.d, self.counts, products, self.sums, False)


class Features:
    """One layer's features of rows that can be streamed again and again."""

    def __init__(
        self, rows: TrainingRows, layer: int, n_classes: int, memory_bytes: int = 1 << 28
    ) -> None:
        """View some rows.

        Args:
            rows: sealed.
            layer: which of their layers.
            n_classes: of the label.
            memory_bytes: that blocks of rows may take.
        """
        self.rows, self.layer, self.n_classes = rows, layer, n_classes
        self.memory_bytes = memory_bytes

    @property
    def n(self) -> int:
        """Rows."""
        return self.rows.n_rows

    @property
    def d(self) -> int:
        """Features."""
        return self.rows.layout.layer_sizes[self.layer]

    def chunks(self) -> Iterator[tuple[Floats, Array]]:
        """Yield features (rows, d) float64 and classes (rows,), always in the same order."""
        for chunk in self.rows.chunks():
            yield chunk.layers[self.layer].astype(np.float64), chunk.code

    def panels(self) -> Iterator[tuple[int, Floats]]:
        """Yield the first row's number and features (rows, d) float64: as many as memory holds."""
        most = max(1, self.memory_bytes // (8 * max(1, self.d)))
        first, held, parts = 0, 0, []
        for x, _ in self.chunks():
            while len(x):
                parts.append(x[: most - held])
                held += len(parts[-1])
                x = x[len(parts[-1]) :]
                if held == most:
                    yield first, np.concatenate(parts)
                    first, held, parts = first + held, 0, []
        if parts:
            yield first, np.concatenate(parts)

    @cached_property
    def mean(self) -> Floats:
        """Mean features (d,)."""
        total = np.zeros(self.d)
        for x, _ in self.chunks():
            total += x.sum(axis=0)
        return total / max(1, self.n)

    @property
    def gram_bytes(self) -> int:
        """Memory of scores that need `gram`: it, its eigenvectors, and what they work in."""
        return 4 * 8 * min(self.n, self.d) ** 2

    @cached_property
    def gram(self) -> Gram:
        """Inner products of the features as they are."""
        codes = np.concatenate([np.zeros(0, np.int64), *(code.copy() for _, code in self.chunks())])
        indicator = (codes[:, None] == np.arange(self.n_classes)).astype(np.float64)
        counts = indicator.sum(axis=0)
        if self.n < self.d:
            products = np.empty((self.n, self.n))
            for first, panel in self.panels():
                place = 0
                for x, _ in self.chunks():
                    products[first : first + len(panel), place : place + len(x)] = panel @ x.T
                    place += len(x)
            return Gram(self.n, self.d, counts, products, indicator, of_features=False)
        products, sums = np.zeros((self.d, self.d)), np.zeros((self.d, self.n_classes))
        place = 0
        for x, _ in self.chunks():
            products += x.T @ x
            sums += x.T @ indicator[place : place + len(x)]
            place += len(x)
        return Gram(self.n, self.d, counts, products, sums, of_features=True)


class Columns(Features):
    """The structured columns of rows, standardized: what features are compared with."""

    def __init__(self, rows: TrainingRows, n_classes: int, memory_bytes: int) -> None:
        """View some rows; arguments as those of `Features`."""
        super().__init__(rows, 0, n_classes, memory_bytes)
        n = max(1, rows.n_rows)
        self._mean = sum(chunk.structured.sum(axis=0) for chunk in rows.chunks()) / n
        squares = sum(np.square(c.structured - self._mean).sum(axis=0) for c in rows.chunks())
        self._scale = np.sqrt(squares / n)

    @property
    def d(self) -> int:
        """Columns."""
        return self.rows.layout.n_structured

    def chunks(self) -> Iterator[tuple[Floats, Array]]:
        """Yield columns (rows, d) of mean 0 and deviation 1, and classes (rows,)."""
        scale = np.where(self._scale > 0, self._scale, 1.0)
        for chunk in self.rows.chunks():
            yield (chunk.structured - self._mean) / scale, chunk.code
